"""Requests replays of missing messages, and replays messages that other nodes miss.

The shell around `ReplayBuffer` and `Receiver`: it sends, counts and logs what they decide.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from zmqio.adapter.base import BusGap, Identity
from zmqio.cluster.delivery.bloom_filter import TopicBloomFilter
from zmqio.cluster.delivery.inbound_queue import InboundQueue
from zmqio.cluster.delivery.outbox import Outbox
from zmqio.cluster.delivery.receiver import Receiver
from zmqio.cluster.delivery.replay_budget import UNKNOWN, ReplayBudget
from zmqio.cluster.delivery.replay_buffer import ReplayPage
from zmqio.cluster.delivery.subscriptions import TopicSubscriptions
from zmqio.cluster.diagnostics import Diagnostics
from zmqio.config import BusOptions
from zmqio.exceptions import EnvelopeError
from zmqio.ids import NodeId, tag_of
from zmqio.logger import get_logger
from zmqio.protocol.envelope import decode, peek_message_id
from zmqio.protocol.messages import MessageId, ReplayAnswer, ReplayRequest
from zmqio.protocol.topic import all_topic, inbox_topic, owner_prefix

__all__ = ["Arrival", "ReliableDelivery"]

log = get_logger(__name__)

Arrival = tuple[bytes, bytes]
"""(topic, body) of a message."""


class ReliableDelivery:
    """Delivers each message of other nodes once and in order, or reports it as lost.

    Args:
        identity: this node.
        options: prefix and limits.
        outbox: sends this node's messages, and keeps them.
        diagnostics: counts and logs failures.
        clock: gives the seconds of any steady clock.
        on_gap: called with messages that are lost, and with their topics; None instead of the topics if these are
            unknown.
        on_repair: called when a replay is requested or delayed, so that `tick` is needed several times a second.
    """

    def __init__(
        self,
        identity: Identity,
        options: BusOptions,
        outbox: Outbox,
        diagnostics: Diagnostics,
        *,
        clock: Callable[[], float],
        on_gap: Callable[[BusGap, frozenset[bytes] | None], None],
        on_repair: Callable[[], None] = lambda: None,
    ) -> None:
        self._queue: InboundQueue[Arrival]
        self._prefix = options.prefix
        self._all = all_topic(options.prefix)
        self._diagnostics = diagnostics
        self._clock = clock
        self._outbox = outbox
        self._on_gap = on_gap
        self._on_repair = on_repair
        own_sessions = owner_prefix(options.prefix, identity.tag)
        self._bytes_per_s = options.replay_bytes_per_s
        self._budget = ReplayBudget(options.replay_bytes_per_s, lambda: outbox.bytes_published)
        subscriptions = TopicSubscriptions(own_sessions, clock())
        self._receiver = Receiver(subscriptions, options.replay_ring_s, options.max_nodes)

    def attach(self, deliver: Callable[[Arrival], None]) -> None:
        """Set the receiver of replayed messages, and of live ones that were queued behind them.

        Args:
            deliver: called with each of them, in order; must not raise.
        """
        self._queue = InboundQueue(deliver, self._send_requests)

    def subscribed(self, topics: Iterable[bytes]) -> None:
        """Request missing messages on these topics from now on."""
        self._receiver.subscriptions.add(topics, self._clock())

    def unsubscribed(self, topics: Iterable[bytes]) -> None:
        """Stop requesting missing messages on these topics."""
        self._receiver.subscriptions.remove(topics)

    # Messages.

    def accept(self, link: int, message_id: MessageId, arrival: Arrival) -> bool:
        """Whether to deliver a sequenced message now.

        Otherwise the message is a duplicate, or was queued behind replayed messages, or arrived behind a gap and
        will be replayed.
        """
        if self._receiver.accept(link, arrival[0], message_id, self._clock()):
            return not self._queue.append_if_busy(arrival)
        if self._receiver.open_requests:
            self._send_requests()
        return False

    def defer_goodbye(self, arrival: Arrival) -> bool:
        """Queue a goodbye behind replayed messages; False if none are queued, so that it takes effect now."""
        return self._queue.append_if_busy(arrival)

    def heartbeat(self, link: int, message_id: MessageId, generation: int) -> None:
        """Process a live node's heartbeat, which carries its highest sequence number."""
        self._receiver.heartbeat(link, message_id, generation, self._clock())
        self._send_requests()

    def replay(self, node_id: NodeId, request: ReplayRequest, *, link: int, known: bool) -> None:
        """Send a node the messages that it missed, now or within its limit.

        Args:
            node_id: the node.
            request: its request.
            link: the link by which the request arrived; the answer is sent by this link only.
            known: whether the node has sent a heartbeat.
        """
        requester = node_id if known else UNKNOWN
        if self._budget.allows(requester, self._clock()):
            self._replay_now(requester, node_id, request, link)
            return
        limit, option = self._bytes_per_s, "replay_bytes_per_s"
        if self._budget.wait(requester, node_id, request, link):
            self._on_repair()
            self._diagnostics.report("replays_delayed", peer=node_id, limit=limit, option=option)
        else:
            self._diagnostics.report("replays_refused", peer=node_id, limit=limit, option=option)

    def _replay_now(self, requester: NodeId, node_id: NodeId, request: ReplayRequest, link: int) -> None:
        pages = self._outbox.newest_page if request.numbers_only else self._outbox.page
        page = pages(request.after, self._topic_matcher(node_id, request), request.max_age_s)
        self._budget.spend(requester, page.cost_bytes, self._clock())
        self._diagnostics.count("replayed_messages_sent", len(page.messages))
        answer = _answer(request.request_id, page)
        is_sent = self._outbox.send_unsequenced(inbox_topic(self._prefix, node_id), answer, link=link)
        if is_sent and requester != UNKNOWN and not request.numbers_only:
            self._outbox.page_sent(page)

    def answered(self, link: int, sender: NodeId, answer: ReplayAnswer) -> None:
        """Queue the messages of a replay answer for delivery."""
        numbers = tuple(_numbers(sender, answer))
        result = self._receiver.answer(link, sender, answer, numbers, self._clock())
        rows = (answer.messages[index] for index in result.rows)
        self._queue.extend((row.topic, row.body) for row in rows)
        if result.gap is not None:
            self._report_gap(result.gap, result.lost_topics)
        self._send_requests()

    # Links, nodes, time.

    def link_lost(self, link: int) -> None:
        """Stop delivering from a broker that was lost."""
        self._receiver.link_lost(link)

    def link_connected(self, link: int) -> None:
        """Use a broker that is connected, and request the messages missed in the meantime."""
        self._receiver.link_connected(link, self._clock())
        self._send_requests()

    def link_doubted(self, link: int) -> None:
        """Request the messages that may have been lost."""
        self._diagnostics.count("link_doubts")
        self._receiver.link_doubted(link, self._clock())
        self._send_requests()

    def link_overrun(self, link: int) -> None:
        """Find the messages that a broker may have dropped, because this node does not read fast enough."""
        self._diagnostics.count("link_overruns")
        self._receiver.link_overrun(link, self._clock())
        self._send_requests()

    def node_left(self, node_id: NodeId, *, died: bool) -> None:
        """Report as lost the messages that a node can no longer send again, because it has left."""
        self._budget.forget(node_id)
        gap = self._receiver.node_left(node_id, self._clock(), died=died)
        if gap is not None:
            self._report_gap(gap)

    @property
    def is_repairing(self) -> bool:
        """Whether replays are requested or delayed, so that `tick` is needed several times a second."""
        return self._receiver.is_waiting or self._budget.is_waiting

    def tick(self) -> None:
        """Drop old messages, repeat requests, and give up on unanswered ones.

        Call it with each heartbeat, and several times a second while `is_repairing`.
        """
        now = self._clock()
        self._outbox.expire()
        for gap in self._receiver.tick(now):
            self._report_gap(gap)
        for due in self._budget.take_due(now):
            self._replay_now(*due)
        self._send_requests()

    def clear(self) -> None:
        """Drop the queued messages: the node has stopped."""
        self._queue.clear()

    def highest_number_of(self, node_id: NodeId) -> int | None:
        """The highest number that a node is known to have used, also after it left; None if it is unknown."""
        return self._receiver.highest_number_of(node_id)

    # Health.

    def details(self) -> Mapping[str, int]:
        """The size of the replay buffer, and the number of open replay requests."""
        buffer = self._outbox.buffer
        return {
            "ring_messages": len(buffer),
            "ring_bytes": buffer.size_bytes,
            "ring_unsent_messages": buffer.unsent,
            "open_requests": self._receiver.open_requests,
        }

    def counters(self) -> Mapping[str, int]:
        """The numbers of replayed and of lost messages since the start."""
        counts = self._receiver.counts
        return {
            "duplicate_messages": counts.duplicates,
            "deferred_messages": counts.deferred,
            "link_gaps": counts.link_gaps,
            "replay_requests_sent": counts.requests,
            "replay_checks_sent": counts.checks,
            "replayed_messages": counts.replayed,
            "bus_gaps": counts.gaps,
            "bus_gap_messages": counts.lost,
        }

    def _send_requests(self) -> None:
        """Send the requests that are due, once the previous answers have been delivered."""
        if not self._receiver.is_waiting:
            return
        self._on_repair()
        if not self._queue.busy:
            for node_id, request, link in self._receiver.take_due_requests(self._clock()):
                if not self._outbox.send_unsequenced(inbox_topic(self._prefix, node_id), request, link=link):
                    self._receiver.request_unsent(node_id)
            for node_id, request, link in self._receiver.take_due_checks(self._clock()):
                self._outbox.send_unsequenced(inbox_topic(self._prefix, node_id), request, link=link)

    def _topic_matcher(self, node_id: NodeId, request: ReplayRequest) -> Callable[[bytes], bool]:
        topics = TopicBloomFilter(request.topics)
        sessions = owner_prefix(self._prefix, tag_of(node_id))
        always = (inbox_topic(self._prefix, node_id), self._all)
        return lambda topic: topic in topics or topic in always or topic.startswith(sessions)

    def _report_gap(self, gap: BusGap, topics: frozenset[bytes] | None = None) -> None:
        log.error(
            "bus_gap_detected",
            peer=gap.node_id,
            first=gap.first,
            last=gap.last,
            messages=gap.messages,
            reason=gap.reason,
            advice="if outages outlast that node's replay buffer, raise its replay_ring_bytes and replay_ring_s",
        )
        self._on_gap(gap, topics)


def _answer(request_id: int, page: ReplayPage) -> ReplayAnswer:
    return ReplayAnswer(
        request_id, page.upto, page.complete, page.forgotten, page.lost, page.messages, page.newest
    )


def _numbers(sender: NodeId, answer: ReplayAnswer) -> Iterator[int]:
    """The n of each message; 0 for a message that is not the sender's own."""
    own_id = sender.encode()
    for row in answer.messages:
        node_id, n = peek_message_id(row.body) or _decoded_id(row.body)
        yield n if node_id == own_id else 0


def _decoded_id(body: bytes) -> tuple[bytes, int]:
    """The sender and the number of a message that another implementation has packed in longer forms."""
    try:
        message_id = decode(body).id
    except EnvelopeError:
        return b"", 0
    return message_id.node_id.encode(), message_id.n
