"""Keeps what this node sends, sends it again to who missed it, and asks the others for what this node missed.

The shell around `Ring` and `Receiver`: encodes, sends, counts and tells. Decides nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import structlog

from zmqio.adapter.base import BusGap, Identity
from zmqio.cluster.delivery.bloom_filter import TopicBloomFilter
from zmqio.cluster.delivery.inbound_queue import InboundQueue
from zmqio.cluster.delivery.outbox import Outbox
from zmqio.cluster.delivery.receiver import Receiver
from zmqio.cluster.delivery.replay_buffer import ReplayPage
from zmqio.cluster.delivery.subscriptions import TopicSubscriptions
from zmqio.cluster.diagnostics import Diagnostics
from zmqio.config import BusOptions
from zmqio.ids import NodeId, tag_of
from zmqio.protocol.envelope import peek_message_id
from zmqio.protocol.messages import MessageId, ReplayAnswer, ReplayRequest
from zmqio.protocol.topic import all_topic, inbox_topic, owner_prefix

__all__ = ["Arrival", "ReliableDelivery"]

log = structlog.get_logger(__name__)

Arrival = tuple[bytes, bytes]
"""(topic, body) of a message that is to be delivered behind what was replayed before it."""


class ReliableDelivery:
    """What one node keeps and misses.

    Args:
        identity: this node.
        options: prefix and limits.
        outbox: what this node sends, and has sent.
        incidents: where losses are counted and told.
        clock: gives the seconds of any steady clock.
        deliver: takes what was replayed, topic and body, in order; must not raise.
        lost: told of what cannot be had any more.

    Attributes:
        inflow: what waits to be handed on; what comes live has to pass it too.
    """

    def __init__(
        self,
        identity: Identity,
        options: BusOptions,
        outbox: Outbox,
        incidents: Diagnostics,
        *,
        clock: Callable[[], float],
        deliver: Callable[[Arrival], None],
        lost: Callable[[BusGap], None],
    ) -> None:
        self.inflow = InboundQueue[Arrival](deliver, self.ask)
        self._prefix = options.prefix
        self._all = all_topic(options.prefix)
        self._incidents = incidents
        self._clock = clock
        self._outbox = outbox
        self._lost = lost
        own_sessions = owner_prefix(options.prefix, identity.tag)
        self._replay = Receiver(TopicSubscriptions(own_sessions, clock()), options.replay_ring_s)

    # What this node subscribes to.

    def subscribed(self, topics: Iterable[bytes]) -> None:
        """From now on messages on these topics are missed if they do not come."""
        self._replay.interest.add(topics, self._clock())

    def unsubscribed(self, topics: Iterable[bytes]) -> None:
        """They are not any more."""
        self._replay.interest.remove(topics)

    # What comes.

    def accept(self, link: int, topic: bytes, message_id: MessageId) -> bool:
        """Whether a sequenced message is to be handed on now."""
        if self._replay.accept(link, topic, message_id, self._clock()):
            return True
        if self._replay.asking:
            self.ask()
        return False

    def heartbeat(self, link: int, message_id: MessageId, generation: int) -> None:
        """A living node tells how much it has sent."""
        self._replay.heartbeat(link, message_id, generation, self._clock())
        self.ask()

    def asked(self, asker: NodeId, request: ReplayRequest) -> None:
        """Another node misses something: send it again."""
        page = self._outbox.page(request.after, self._topics_of(asker, request), request.max_age_s)
        self._incidents.count("replays_sent", len(page.messages))
        self._outbox.tell(inbox_topic(self._prefix, asker), _answer(request.request_id, page))

    def answered(self, link: int, sender: NodeId, answer: ReplayAnswer) -> None:
        """Another node sends again what was missed."""
        numbers = tuple(_numbers(sender, answer))
        result = self._replay.answer(link, sender, answer, numbers, self._clock())
        rows = (answer.messages[place] for place in result.rows)
        self.inflow.take_many((row.topic, row.body) for row in rows)
        if result.gap is not None:
            self._tell(result.gap)
        self.ask()

    # What happens.

    def lost(self, link: int) -> None:
        """A broker is gone."""
        self._replay.lost(link)

    def back(self, link: int) -> None:
        """A broker is there: ask whoever lives for what came meanwhile."""
        self._replay.back(link, self._clock())
        self.ask()

    def doubt(self, link: int) -> None:
        """A broker may have dropped something."""
        self._incidents.count("bus_doubts")
        self._replay.doubt(link, self._clock())
        self.ask()

    def gone(self, node_id: NodeId, *, died: bool) -> None:
        """Another node left or died."""
        gap = self._replay.gone(node_id, self._clock(), died=died)
        if gap is not None:
            self._tell(gap)

    def tick(self) -> None:
        """To be called several times a second: expire, ask again, give up."""
        now = self._clock()
        self._outbox.expire()
        for gap in self._replay.tick(now):
            self._tell(gap)
        self.ask()

    def ask(self) -> None:
        """Send the questions that are due; not before what was answered last is handed on."""
        if self._replay.asking and not self.inflow.busy:
            for node_id, request in self._replay.take_questions(self._clock()):
                if not self._outbox.tell(inbox_topic(self._prefix, node_id), request):
                    self._replay.not_asked(node_id)

    def details(self) -> Mapping[str, int]:
        """How full the ring is, and what is being asked."""
        ring = self._outbox.ring
        return {
            "ring_messages": len(ring),
            "ring_bytes": ring.size_bytes,
            "ring_unsent": ring.unsent,
            "nodes_asked": self._replay.asking,
        }

    def counters(self) -> Mapping[str, int]:
        """What was repaired and what was lost, since the start."""
        counts = self._replay.counts
        return {
            "bus_copies": counts.copies,
            "bus_set_aside": counts.set_aside,
            "bus_holes": counts.holes,
            "replay_questions": counts.questions,
            "replayed": counts.replayed,
            "bus_gaps": counts.gaps,
            "bus_gap_messages": counts.lost,
        }

    def _topics_of(self, asker: NodeId, request: ReplayRequest) -> Callable[[bytes], bool]:
        known = TopicBloomFilter(request.topics)
        sessions = owner_prefix(self._prefix, tag_of(asker))
        always = (inbox_topic(self._prefix, asker), self._all)
        return lambda topic: topic in known or topic in always or topic.startswith(sessions)

    def _tell(self, gap: BusGap) -> None:
        log.error(
            "bus_gap",
            peer=gap.node_id,
            first=gap.first,
            last=gap.last,
            messages=gap.messages,
            reason=gap.reason,
            advice="raise replay_ring_bytes and replay_ring_s on that node if outages last longer than it keeps",
        )
        self._lost(gap)


def _answer(request_id: int, page: ReplayPage) -> ReplayAnswer:
    return ReplayAnswer(request_id, page.upto, page.complete, page.forgotten, page.lost, page.messages)


def _numbers(sender: NodeId, answer: ReplayAnswer) -> Iterator[int]:
    """The n of each message; 0 for one that is not the sender's own."""
    mine = sender.encode()
    for row in answer.messages:
        node_id, n = peek_message_id(row.body) or (b"", 0)
        yield n if node_id == mine else 0
