"""Decides which messages to deliver, which are missing, and which to request again. Pure, time is an argument.

A publisher numbers all its messages with one counter. The messages that it sends through one broker arrive
through that broker in order and without a gap, until something breaks: this node's connection, the publisher's
connection, the broker, or a queue that was full. So for each publisher, the receiver tracks which links (brokers)
are *gapless*: their messages continue the highest number received. New messages are delivered from gapless links
only.

A link of a publisher is no longer gapless when:

- this node loses the link;
- the publisher's heartbeat on it has a new generation (the publisher reconnected, or its queue was full);
- messages may have been lost on the way (`link_doubted`), or this node stalled and reads too slowly since then;
- a message names another predecessor on its topic than the last one received there (a gap).

When no link of a publisher is gapless, the publisher is asked for everything after the highest number received,
on the topics of this node. Its answer arrives behind the messages that it contains, so a complete answer makes its
link gapless. No message has to be held back in the meantime, because the answer contains all that came before it.

A link also becomes gapless, without a request, once everything that arrived by it, heartbeats included, was
received by another link too. So with two brokers, losing either costs nothing.

A node that reads slowly without a stall (`link_overrun`) does not ask for all messages again, because most of them
are only late. It goes on delivering, and checks what is missing (`cluster.delivery.checks`).

Messages that the publisher no longer keeps are a gap, reported with the exact count of those meant for this node.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from zmqio.adapter.base import BusGap
from zmqio.cluster.delivery.checks import Checks
from zmqio.cluster.delivery.publisher import REPLAY_RETRY_S, PublisherState, ReplayRequestState
from zmqio.cluster.delivery.replay_answers import ReplayAnswerReader, ReplayResult
from zmqio.cluster.delivery.subscriptions import TopicSubscriptions
from zmqio.ids import NodeId
from zmqio.protocol.messages import MessageId, ReplayAnswer, ReplayRequest

__all__ = ["Receiver", "ReplayCounts"]

MAX_UNANSWERED_REQUESTS = 15
"""Unanswered replay requests to a live publisher before the missing messages are reported as lost."""
STALL_S = 2.5
"""Seconds between two calls of `tick`, called at least once a second, after which this node was stalled."""
STALL_EFFECT_S = 10.0
"""Seconds after a stall in which the messages that waited in the meantime are read."""
TOMBSTONE_MARGIN_S = 60.0
TRANSIT_MARGIN_S = 60.0
"""Longest time that a request is assumed to be under way. A publisher must not take messages that it sent in that
time for too old. This only preselects: the receiver decides which messages concerned this node."""


@dataclass(slots=True)
class ReplayCounts:
    """Counts since the start.

    Attributes:
        duplicates: messages that had been received before.
        deferred: messages that arrived by a link with a possible gap. Another link or an answer delivers them.
        link_gaps: gaps that were found on links that counted as gapless.
        requests: replay requests sent.
        checks: requests for the newest numbers sent.
        replayed: messages delivered from answers.
        gaps: losses reported.
        lost: messages lost, as far as they could be counted.
    """

    duplicates: int = 0
    deferred: int = 0
    link_gaps: int = 0
    requests: int = 0
    checks: int = 0
    replayed: int = 0
    gaps: int = 0
    lost: int = 0


@dataclass(slots=True)
class Receiver:
    """All publishers, as seen by one node.

    Args:
        subscriptions: the topics of this node.
        keep_s: seconds that publishers keep their messages; a dead publisher is remembered for a minute longer.
        max_gone: most publishers without a heartbeat: those that left, and those that have not sent one yet.
            Beyond that, a further publisher is added only with its first heartbeat.

    Attributes:
        counts: see `ReplayCounts`.
    """

    subscriptions: TopicSubscriptions
    keep_s: float
    max_gone: int = 1_000
    counts: ReplayCounts = field(default_factory=ReplayCounts)
    _publishers: dict[NodeId, PublisherState] = field(default_factory=dict)
    _gone: dict[NodeId, PublisherState] = field(default_factory=dict)
    _asked: dict[NodeId, PublisherState] = field(default_factory=dict)
    _checks: Checks = field(init=False)
    _answers: ReplayAnswerReader = field(init=False)
    _first_due_at: float = 0.0
    _ready: int = 0
    _next_id: int = 1
    _ticked_at: float = math.inf
    _stalled_at: float = -math.inf

    def __post_init__(self) -> None:
        self._checks = Checks(self.subscriptions)
        self._answers = ReplayAnswerReader(self.subscriptions)

    # Messages.

    def accept(self, link: int, topic: bytes, message_id: MessageId, now: float) -> bool:
        """Process the id of a sequenced message; return whether to deliver the message now."""
        node_id, n, previous = message_id
        publisher = self._publishers.get(node_id)
        if publisher is None:
            return self._accept_first(link, topic, message_id, now)
        if n <= publisher.received:
            self.counts.duplicates += 1
            return False
        if not publisher.gapless >> link & 1 and not self._is_gapless_by_default(publisher, link):
            self.counts.deferred += 1
            publisher.defer(link, n)
            self._request_if_stuck(node_id, publisher, now)
            return False
        state = self.subscriptions.state_of(topic)
        if state is not None:
            last = state.last.get(node_id)
            if last is None and publisher.check is not None:
                # The first message that arrives on the topic may not be the first that was sent.
                last = publisher.check.after
            if last is not None and previous is not None and previous > last and publisher.can_replay(previous):
                self._gap_found(node_id, publisher, link, last, now)
                return False
            state.last[node_id] = n
        publisher.received = n
        if n >= publisher.recheck_at:
            publisher.recheck_links(self._ready)
        return True

    def heartbeat(self, link: int, message_id: MessageId, generation: int, now: float) -> None:
        """Process the heartbeat of a live publisher: its highest number, and the generation of its link."""
        node_id, n, _ = message_id
        publisher = self._publishers.get(node_id)
        if publisher is None:
            publisher = self._publishers[node_id] = PublisherState(received=0)
            if n > 0:
                self._request(node_id, publisher, 0, now, first_contact=True)
        publisher.mark_alive(now)
        self._gone.pop(node_id, None)
        if publisher.heartbeat(link, n, generation, self._ready) and publisher.request is not None:
            # The publisher may not have received the request while its connection was down.
            publisher.request.due_at = now
        if publisher.request is not None:
            self._first_due_at = min(self._first_due_at, publisher.request.due_at)
        self._request_if_stuck(node_id, publisher, now)

    def answer(
        self, link: int, node_id: NodeId, answer: ReplayAnswer, numbers: Iterable[int], now: float
    ) -> ReplayResult:
        """Process a publisher's answer.

        Args:
            link: the link by which the answer arrived.
            node_id: the publisher.
            answer: the answer.
            numbers: the n of each of its messages; 0 for a message that is not the publisher's own.
            now: the time.
        """
        publisher = self._publishers.get(node_id)
        if publisher is None:
            return ReplayResult()
        request = publisher.request
        if publisher.check is not None and publisher.check.id == answer.request_id:
            self._check_answered(link, node_id, publisher, answer, now)
            return ReplayResult()
        if request is None or request.id != answer.request_id:
            if answer.complete and answer.request_id == publisher.last_answered_id:
                publisher.mark_gapless(link, answer.upto, answer.request_id, self._ready)
            return ReplayResult()
        result = self._answers.read(node_id, request, publisher.received, answer, numbers, now)
        self.counts.replayed += len(result.rows)
        self.counts.gaps += result.gap is not None
        self.counts.lost += result.lost
        publisher.answered(answer.upto)
        if answer.complete:
            self._complete_request(link, node_id, publisher, answer, now)
        else:
            self._request(node_id, publisher, answer.upto, now, first_contact=request.first_contact)
        return result

    # Links.

    def link_lost(self, link: int) -> None:
        """Stop delivering from a link until `link_connected`."""
        self._ready &= ~(1 << link)
        for publisher in self._publishers.values():
            publisher.gapless &= self._ready

    def link_connected(self, link: int, now: float) -> None:
        """Use a link whose broker is connected and has applied every subscription."""
        self._ready |= 1 << link
        self._first_due_at = now
        for node_id, publisher in self._publishers.items():
            publisher.link_connected(link)
            request = publisher.request
            if request is not None and not self._is_under_way(request, link):
                request.restart(now)
            self._request_if_stuck(node_id, publisher, now)

    def link_doubted(self, link: int, now: float) -> None:
        """Request what may have been lost on the way to this node."""
        for node_id, publisher in self._publishers.items():
            self._doubt(link, node_id, publisher, now)

    def link_overrun(self, link: int, now: float) -> None:
        """Find what a broker may have dropped because this node did not read fast enough."""
        is_stalled = now - self._stalled_at <= STALL_EFFECT_S
        for node_id, publisher in self._publishers.items():
            if is_stalled and publisher.may_doubt(link):
                self._doubt(link, node_id, publisher, now)
            self._checks.doubt(node_id, publisher, now)
            if publisher.request is not None and publisher.request.sent_count:
                # The answer waits behind the messages that wait: a repetition would only add to them.
                publisher.request.due_at = max(publisher.request.due_at, now + publisher.retry_s)

    # Publishers.

    def node_left(self, node_id: NodeId, now: float, *, died: bool) -> BusGap | None:
        """Process the end of a publisher. Its number is remembered for a while, so that late copies are dropped.

        Messages missing from a node that said goodbye are lost. A silent node may return; its replay then
        continues.

        Returns:
            The messages that are lost.
        """
        publisher = self._publishers.get(node_id)
        if publisher is None:
            return None
        publisher.alive = False
        publisher.gone_at = now
        self._gone[node_id] = publisher
        if died or publisher.request is None:
            return None
        return self._give_up(node_id, publisher, "the node has left")

    def tick(self, now: float) -> list[BusGap]:
        """Give up unanswered requests, and forget publishers that left or died long ago. Call it each second.

        Returns:
            The messages that are lost.
        """
        if now - self._ticked_at > STALL_S:
            self._stalled_at = now
        self._ticked_at = now
        gaps = [self._give_up_if_late(node_id, publisher, now) for node_id, publisher in list(self._asked.items())]
        oldest = now - self.keep_s - TOMBSTONE_MARGIN_S
        forgotten = frozenset(
            node_id
            for node_id, publisher in self._gone.items()
            if publisher.gone_at is not None and publisher.gone_at <= oldest
        )
        if forgotten:
            for node_id in forgotten:
                del self._publishers[node_id], self._gone[node_id]
            self._checks.forget(forgotten)
            self.subscriptions.forget(forgotten)
        return [gap for gap in gaps if gap is not None]

    def highest_number_of(self, node_id: NodeId) -> int | None:
        """The highest number that a publisher is known to have used; None if the publisher is unknown."""
        publisher = self._publishers.get(node_id)
        return None if publisher is None else publisher.highest_known

    # Requests.

    @property
    def open_requests(self) -> int:
        """The number of publishers that have not answered yet."""
        return len(self._asked)

    @property
    def is_waiting(self) -> bool:
        """Whether requests or checks are due now or later."""
        return bool(self._asked or self._checks)

    def take_due_requests(self, now: float) -> list[tuple[NodeId, ReplayRequest, int | None]]:
        """The requests to send now, each with its publisher and link; none while no broker is connected.

        A request is first sent by one link, and the publisher answers by the same link, so that each message is
        sent again once. A request that is not answered is repeated by all links: the link is None.
        """
        if not self._ready or now < self._first_due_at:
            return []
        due: list[tuple[NodeId, ReplayRequest, int | None]] = []
        self._first_due_at = now + REPLAY_RETRY_S
        for node_id, publisher in self._asked.items():
            request = publisher.request
            if request is None or not publisher.alive or request.sent_count >= MAX_UNANSWERED_REQUESTS:
                continue
            if request.due_at > now:
                self._first_due_at = min(self._first_due_at, request.due_at)
                continue
            request.sent_by = link = None if request.sent_count else publisher.link_to_ask_by(self._ready)
            request.sent_count += 1
            request.due_at = now + publisher.retry_s
            self.counts.requests += 1
            due.append((node_id, self._make_request(request.id, request.after, now), link))
        return due

    def take_due_checks(self, now: float) -> list[tuple[NodeId, ReplayRequest, int]]:
        """The requests for the newest numbers to send now, each with its publisher and link."""
        due: list[tuple[NodeId, ReplayRequest, int]] = []
        for node_id, publisher, check in self._checks.take_due(now):
            check.id = self._next_id
            self._next_id += 1
            self.counts.checks += 1
            request = self._make_request(check.id, check.after, now, numbers_only=True)
            due.append((node_id, request, publisher.first_gapless_link))
        return due

    def request_unsent(self, node_id: NodeId) -> None:
        """Note that a request could not be sent, so that it does not count as unanswered."""
        publisher = self._asked.get(node_id)
        if publisher is not None and publisher.request is not None:
            publisher.request.sent_count -= 1

    # Private.

    def _make_request(
        self, request_id: int, after: int, now: float, *, numbers_only: bool = False
    ) -> ReplayRequest:
        max_age_s = now - self.subscriptions.started_at + TRANSIT_MARGIN_S
        return ReplayRequest(request_id, after, max_age_s, self.subscriptions.bloom_filter(), numbers_only)

    def _check_answered(
        self, link: int, node_id: NodeId, publisher: PublisherState, answer: ReplayAnswer, now: float
    ) -> None:
        after = self._checks.answered(node_id, publisher, answer, now)
        if after is not None:
            self._gap_found(node_id, publisher, link, after, now)

    def _accept_first(self, link: int, topic: bytes, message_id: MessageId, now: float) -> bool:
        """Process a message that came before its publisher's first heartbeat: this node is new and missed none.

        A publisher that never sends a heartbeat is forgotten like one that left. Beyond `max_gone` of both, the
        messages of a further publisher are dropped, and requested once it sends a heartbeat.
        """
        if not self._ready >> link & 1 or len(self._gone) >= self.max_gone:
            self.counts.deferred += 1
            return False
        publisher = PublisherState(received=message_id.n, gapless=1 << link, gone_at=now)
        self._publishers[message_id.node_id] = self._gone[message_id.node_id] = publisher
        state = self.subscriptions.state_of(topic)
        if state is not None:
            state.last[message_id.node_id] = message_id.n
        return True

    def _is_gapless_by_default(self, publisher: PublisherState, link: int) -> bool:
        """Whether a link counts as gapless because the publisher is not alive, so that it cannot be asked."""
        if publisher.alive or publisher.request is not None or not self._ready >> link & 1:
            return False
        publisher.gapless |= 1 << link
        return True

    def _doubt(self, link: int, node_id: NodeId, publisher: PublisherState, now: float) -> None:
        publisher.mark_suspect(link, self._next_id)
        # Even if another link is gapless: only an answer that arrives by this link shows what it dropped.
        if publisher.alive and publisher.request is None:
            self._request(node_id, publisher, publisher.received, now)

    def _gap_found(self, node_id: NodeId, publisher: PublisherState, link: int, last: int, now: float) -> None:
        self.counts.link_gaps += 1
        # The missing messages may be older than those received on other topics, and than those requested already.
        after = max(last, publisher.answered_upto)
        if publisher.request is None or after < publisher.request.after:
            self._request(node_id, publisher, after, now)
        # The answer to the open request arrives behind the gap, wherever the gap begins.
        publisher.mark_suspect(link, self._next_id - 1)

    def _request_if_stuck(self, node_id: NodeId, publisher: PublisherState, now: float) -> None:
        """Open a request if no link can deliver the publisher's next message."""
        if not publisher.gapless and publisher.request is None and publisher.alive and self._ready:
            self._request(node_id, publisher, publisher.received, now)

    def _request(
        self, node_id: NodeId, publisher: PublisherState, after: int, now: float, *, first_contact: bool = False
    ) -> None:
        if publisher.check is not None:
            # Some messages behind the last check may have been dropped without a trace.
            after = min(after, publisher.check.after)
        publisher.request = ReplayRequestState(self._next_id, after, first_contact, now)
        self._first_due_at = min(self._first_due_at, now)
        self._next_id += 1
        self._asked[node_id] = publisher

    def _complete_request(
        self, link: int, node_id: NodeId, publisher: PublisherState, answer: ReplayAnswer, now: float
    ) -> None:
        """Close a request whose complete answer arrived by a link; open another one if a gap was found since."""
        is_first_try = publisher.request is None or publisher.request.sent_count <= 1
        self._close_request(node_id, publisher)
        publisher.mark_gapless(link, answer.upto, answer.request_id, self._ready)
        # Another suspect link needs an answer of its own, which has little left to bring. If a request had to be
        # repeated, a link may bring no answer at all: it stays suspect until something else clears it.
        if publisher.has_suspect_link_since(answer.request_id) or (
            is_first_try and publisher.has_suspect_link(self._ready)
        ):
            self._request(node_id, publisher, answer.upto, now)

    def _is_under_way(self, request: ReplayRequestState, connected: int) -> bool:
        """Whether a request was sent by a link that is still ready, other than the one that has connected."""
        sent_by = request.sent_by
        return sent_by is not None and sent_by != connected and bool(self._ready >> sent_by & 1)

    def _close_request(self, node_id: NodeId, publisher: PublisherState) -> None:
        publisher.close_request()
        self._asked.pop(node_id, None)

    def _give_up_if_late(self, node_id: NodeId, publisher: PublisherState, now: float) -> BusGap | None:
        request = publisher.request
        if publisher.gone_at is not None and publisher.gone_at <= now - self.keep_s:
            return self._give_up(node_id, publisher, "the node died")
        if request is not None and request.sent_count >= MAX_UNANSWERED_REQUESTS and request.due_at <= now:
            reason = f"the node did not answer {MAX_UNANSWERED_REQUESTS} replay requests"
            return self._give_up(node_id, publisher, reason)
        return None

    def _give_up(self, node_id: NodeId, publisher: PublisherState, reason: str) -> BusGap | None:
        request, highest = publisher.request, publisher.highest_known
        self._close_request(node_id, publisher)
        publisher.answered_upto = publisher.received = highest
        publisher.gapless |= self._ready
        if request is None or request.first_contact or highest <= request.after:
            return None
        self.counts.gaps += 1
        return BusGap(node_id, request.after + 1, highest, None, reason)
