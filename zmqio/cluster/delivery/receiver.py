"""What has come from each publisher, what is missing, and what to do about it. Pure, time is an argument.

A publisher numbers all its messages with one counter. What it sends by one broker arrives by that broker in order
and without a hole, until something breaks: this node's connection, the publisher's, the broker, or a queue that
was full. So for each publisher it is known by which links (brokers) its messages come *without a hole* behind the
highest number heard; such a link is *sound*. From a sound link everything newer is delivered, from another
nothing.

A link of a publisher stops being sound when this node loses it, when the publisher's heartbeat by it has a new
generation (it was made anew there, or was full), when this node may have read too slowly (`doubt`), and when a
message names, as the one before it on its topic, another one than the last one heard there (a hole).

When no link of a publisher is sound any more it is asked for what it has sent, on the topics of this node, after
the highest number heard. Its answer comes by a link behind everything that it holds, so with a complete answer
that link is sound: what follows on it follows without a hole. Nothing has to be held back meanwhile: what comes
before the answer is in the answer.

A link becomes sound again without a question when everything that it brought, heartbeats too, has been heard by
another. So with two brokers the loss of either costs nothing at all.

What a publisher does not keep any more is a gap, with the exact count of the messages that were for this node.

Source: DESIGN section 6, "Receiver".
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from zmqio.adapter.base import BusGap
from zmqio.cluster.delivery.publisher import PublisherState, ReplayRequestState
from zmqio.cluster.delivery.subscriptions import TopicSubscriptions
from zmqio.ids import NodeId
from zmqio.protocol.messages import LostRow, MessageId, ReplayAnswer, ReplayRequest

__all__ = ["Receiver", "ReplayCounts", "ReplayResult"]

ASK_AGAIN_S = 1.0
GIVE_UP_AFTER_ASKS = 15
"""Questions without an answer to a publisher that lives, until what it has is given up, and told."""
TOMBSTONE_MARGIN_S = 60.0
TRANSIT_MARGIN_S = 60.0
"""A question may be on its way for so long, and what was sent in that time must not be taken for too old. It is a
pre-selection only: what concerned this node is decided here."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What an answer is good for.

    Attributes:
        rows: the places (indexes in `ReplayAnswer.messages`) of what is to be delivered, in order.
        gap: what is lost, if anything is.
    """

    rows: tuple[int, ...] = ()
    gap: BusGap | None = None


@dataclass(slots=True)
class ReplayCounts:
    """Since the start.

    Attributes:
        copies: messages that had come before.
        set_aside: messages that came by a link that was not sound; they are in an answer, or came by another.
        holes: times that a sound link turned out to have dropped something.
        questions: requests to publishers.
        replayed: messages that were delivered from answers.
        gaps: losses that were told.
        lost: messages in them, as far as counted.
    """

    copies: int = 0
    set_aside: int = 0
    holes: int = 0
    questions: int = 0
    replayed: int = 0
    gaps: int = 0
    lost: int = 0


@dataclass(slots=True)
class Receiver:
    """All publishers, as one node hears them.

    Args:
        interest: the topics of this node.
        keep_s: seconds that publishers keep what they have sent; a dead one is remembered for a minute longer.

    Attributes:
        counts: see `ReplayCounts`.
    """

    interest: TopicSubscriptions
    keep_s: float
    counts: ReplayCounts = field(default_factory=ReplayCounts)
    _streams: dict[NodeId, PublisherState] = field(default_factory=dict)
    _asking: dict[NodeId, PublisherState] = field(default_factory=dict)
    _ready: int = 0
    _next_id: int = 1

    # What comes.

    def accept(self, link: int, topic: bytes, message_id: MessageId, now: float) -> bool:
        """Take note of a sequenced message; whether it is to be delivered, now."""
        node_id, n, previous = message_id
        stream = self._streams.get(node_id)
        if stream is None:
            return self._meet(link, topic, message_id)
        if n <= stream.heard:
            self.counts.copies += 1
            return False
        if not stream.sound >> link & 1 and not self._take_on_trust(stream, link):
            self.counts.set_aside += 1
            stream.set_aside(link, n)
            self._mend(node_id, stream, now)
            return False
        record = self.interest.record(topic)
        if record is not None:
            last = record.last.get(node_id)
            if last is not None and previous is not None and previous > last and stream.misses(previous):
                self._found_hole(node_id, stream, link, last, now)
                return False
            record.last[node_id] = n
        stream.heard = n
        if n >= stream.watch:
            stream.catch_up(self._ready)
        return True

    def heartbeat(self, link: int, message_id: MessageId, generation: int, now: float) -> None:
        """A living publisher tells its number, and the generation of its way to the broker of this link."""
        node_id, n, _ = message_id
        stream = self._streams.get(node_id)
        if stream is None:
            stream = self._streams[node_id] = PublisherState(heard=0)
            if n > 0:
                self._ask(node_id, stream, 0, now, first_meeting=True)
        stream.revive(now)
        if stream.beat(link, n, generation, self._ready) and stream.question is not None:
            # It may not have heard the question, where its way was cut.
            stream.question.due_at = now
        self._mend(node_id, stream, now)

    def answer(
        self, link: int, node_id: NodeId, answer: ReplayAnswer, numbers: Iterable[int], now: float
    ) -> ReplayResult:
        """A publisher answers.

        Args:
            link: by which the answer came.
            node_id: the publisher.
            answer: what it says.
            numbers: the n of each of its messages; 0 for one that is none of this publisher's.
            now: the time.
        """
        stream = self._streams.get(node_id)
        if stream is None:
            return ReplayResult()
        question = stream.question
        if question is None or question.id != answer.request_id:
            if answer.complete and answer.request_id == stream.settled_id:
                stream.sound_behind(link, answer.upto, answer.request_id, self._ready)
            return ReplayResult()
        # First: what is lost is behind what was heard, and before what the rows bring.
        gap = None if question.first_meeting else self._gap(node_id, question.after, answer, now)
        rows = tuple(
            place
            for place, (row, n) in enumerate(zip(answer.messages, numbers, strict=True))
            if n > question.after and self._is_missed(node_id, stream.heard, row.topic, n, now - row.age_s)
        )
        self.counts.replayed += len(rows)
        stream.settled = max(stream.settled, answer.upto)
        stream.heard = max(stream.heard, answer.upto)
        if answer.complete:
            self._settled(node_id, stream)
            stream.sound_behind(link, answer.upto, answer.request_id, self._ready)
            if stream.is_doubted_since(answer.request_id):
                self._ask(node_id, stream, answer.upto, now)
        else:
            self._ask(node_id, stream, answer.upto, now, first_meeting=question.first_meeting)
        return ReplayResult(rows, gap)

    # What happens to links.

    def lost(self, link: int) -> None:
        """The connection to a broker is gone."""
        self._ready &= ~(1 << link)
        for stream in self._streams.values():
            stream.sound &= self._ready

    def back(self, link: int, now: float) -> None:
        """A broker is there, and has applied every subscription."""
        self._ready |= 1 << link
        for node_id, stream in self._streams.items():
            stream.renew(link)
            if stream.question is not None:
                stream.question.start_again(now)
            self._mend(node_id, stream, now)

    def doubt(self, link: int, now: float) -> None:
        """A broker may have dropped messages to this node, which did not read them in time."""
        for node_id, stream in self._streams.items():
            stream.distrust(link, self._next_id)
            if stream.lives and stream.question is None:
                # Even if another link is sound: only an answer that came by this one ends the doubt.
                self._ask(node_id, stream, stream.heard, now)

    # What happens to publishers.

    def gone(self, node_id: NodeId, now: float, *, died: bool) -> BusGap | None:
        """A publisher is gone; its number is remembered for a while, so that no old copy passes as new.

        What is missing of one that has left is lost. One that is silent may come back, and is then asked on.
        """
        stream = self._streams.get(node_id)
        if stream is None:
            return None
        stream.lives = False
        stream.gone_at = now
        if died or stream.question is None:
            return None
        return self._give_up(node_id, stream, "the node has left")

    def tick(self, now: float) -> list[BusGap]:
        """Give up what nobody answers, and forget who is gone for long.

        Returns:
            What is lost that way.
        """
        gaps = [self._give_up_if_late(node_id, stream, now) for node_id, stream in list(self._asking.items())]
        old = now - self.keep_s - TOMBSTONE_MARGIN_S
        forgotten = frozenset(
            node_id
            for node_id, stream in self._streams.items()
            if stream.gone_at is not None and stream.gone_at <= old
        )
        if forgotten:
            for node_id in forgotten:
                del self._streams[node_id]
            self.interest.forget(forgotten)
        return [gap for gap in gaps if gap is not None]

    # What to ask.

    @property
    def asking(self) -> int:
        """How many publishers are being asked."""
        return len(self._asking)

    def take_questions(self, now: float) -> list[tuple[NodeId, ReplayRequest]]:
        """The questions that are to be sent now; none while no broker is there."""
        if not self._ready:
            return []
        taken: list[tuple[NodeId, ReplayRequest]] = []
        for node_id, stream in self._asking.items():
            question = stream.question
            if question is None or not stream.lives or question.due_at > now:
                continue
            if question.asked >= GIVE_UP_AFTER_ASKS:
                continue
            question.asked += 1
            question.due_at = now + ASK_AGAIN_S
            self.counts.questions += 1
            max_age_s = now - self.interest.started_at + TRANSIT_MARGIN_S
            taken.append((node_id, ReplayRequest(question.id, question.after, max_age_s, self.interest.filter())))
        return taken

    def not_asked(self, node_id: NodeId) -> None:
        """A question could not be sent: it does not count."""
        stream = self._asking.get(node_id)
        if stream is not None and stream.question is not None:
            stream.question.asked -= 1

    # Inside.

    def _meet(self, link: int, topic: bytes, message_id: MessageId) -> bool:
        """The first message of a publisher whose heartbeat has not come yet: this node is new, and missed none."""
        if not self._ready >> link & 1:
            self.counts.set_aside += 1
            return False
        self._streams[message_id.node_id] = PublisherState(heard=message_id.n, sound=1 << link)
        record = self.interest.record(topic)
        if record is not None:
            record.last[message_id.node_id] = message_id.n
        return True

    def _take_on_trust(self, stream: PublisherState, link: int) -> bool:
        """Whether a link is taken for sound because there is nobody to ask: the publisher does not live."""
        if stream.lives or stream.question is not None or not self._ready >> link & 1:
            return False
        stream.sound |= 1 << link
        return True

    def _found_hole(self, node_id: NodeId, stream: PublisherState, link: int, last: int, now: float) -> None:
        self.counts.holes += 1
        # What is missing may be older than what was heard on other topics, and than what is asked already.
        after = max(last, stream.settled)
        if stream.question is None or after < stream.question.after:
            self._ask(node_id, stream, after, now)
        # The answer to what is asked comes behind the hole, wherever that begins.
        stream.distrust(link, self._next_id - 1)

    def _mend(self, node_id: NodeId, stream: PublisherState, now: float) -> None:
        """Ask, if nothing newer can be delivered otherwise."""
        if not stream.sound and stream.question is None and stream.lives and self._ready:
            self._ask(node_id, stream, stream.heard, now)

    def _ask(
        self, node_id: NodeId, stream: PublisherState, after: int, now: float, *, first_meeting: bool = False
    ) -> None:
        stream.question = ReplayRequestState(self._next_id, after, first_meeting, now)
        self._next_id += 1
        self._asking[node_id] = stream

    def _settled(self, node_id: NodeId, stream: PublisherState) -> None:
        stream.settle()
        self._asking.pop(node_id, None)

    def _is_missed(self, node_id: NodeId, heard: int, topic: bytes, n: int, sent_at: float) -> bool:
        record = self.interest.record(topic)
        # Its age was told when the answer was made, so it was sent at `sent_at` or before.
        if record is None or sent_at < record.since:
            return False
        if n <= record.last.get(node_id, 0 if record.knows_all else heard):
            return False
        record.last[node_id] = n
        return True

    def _gap(self, node_id: NodeId, after: int, answer: ReplayAnswer, now: float) -> BusGap | None:
        lost = sum(self._missed_of(node_id, row, now) for row in answer.lost)
        if not lost and not answer.forgotten:
            return None
        self.counts.gaps += 1
        self.counts.lost += lost
        messages = None if answer.forgotten else lost
        return BusGap(node_id, after + 1, answer.upto, messages, "the node does not keep them any more")

    def _missed_of(self, node_id: NodeId, row: LostRow, now: float) -> int:
        record = self.interest.record(row.topic)
        if record is None or now - row.newest_age_s < record.since:
            return 0
        last = record.last.get(node_id, 0)
        return sum(n > last for n in row.numbers)

    def _give_up_if_late(self, node_id: NodeId, stream: PublisherState, now: float) -> BusGap | None:
        question = stream.question
        if stream.gone_at is not None and stream.gone_at <= now - self.keep_s:
            return self._give_up(node_id, stream, "the node died")
        if question is not None and question.asked >= GIVE_UP_AFTER_ASKS and question.due_at <= now:
            return self._give_up(node_id, stream, f"the node did not answer {GIVE_UP_AFTER_ASKS} times")
        return None

    def _give_up(self, node_id: NodeId, stream: PublisherState, reason: str) -> BusGap | None:
        question, seen = stream.question, stream.seen
        self._settled(node_id, stream)
        stream.settled = stream.heard = seen
        stream.sound |= self._ready
        if question is None or question.first_meeting or seen <= question.after:
            return None
        self.counts.gaps += 1
        return BusGap(node_id, question.after + 1, seen, None, reason)
