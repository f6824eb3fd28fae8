"""The guarantee of replay, under everything that can happen to links, publishers and queues.

Two publishers and one node are on two brokers, wired like sockets: a message waits in the publisher's queue to a
broker, then in the broker's queue to the node. Both queues keep their order, and lose their content when their
connection is lost. Whatever happens, in the end the node has received every message on its topics once and in
order, or has reported it as lost. The network below does nothing that real sockets do not do.

Both machines together take about 5 s, with the profile `ci` 20 s. `ZMQIO_EXAMPLES=20 pytest
tests/cluster/delivery/test_replay_machine.py` runs 20 times as many examples.
"""

import os
from collections import Counter, deque
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from zmqio.cluster.delivery.bloom_filter import TopicBloomFilter
from zmqio.cluster.delivery.receiver import STALL_S, Receiver
from zmqio.cluster.delivery.replay_buffer import ReplayBuffer, ReplayPageLimits
from zmqio.cluster.delivery.sequencer import Sequencer
from zmqio.cluster.delivery.subscriptions import TopicSubscriptions
from zmqio.ids import NodeId
from zmqio.protocol.messages import MessageId, ReplayAnswer, ReplayRequest

LINKS = (0, 1)
PUBLISHERS = (NodeId("P"), NodeId("Q"))
TOPICS = (b"t/a", b"t/b", b"t/c", b"t/d")
SUBSCRIBED = TOPICS[:3]
LIMITS = ReplayPageLimits(messages=3, size_bytes=1_000, scanned=6)

links = st.sampled_from(LINKS)
publishers = st.sampled_from(PUBLISHERS)
topics = st.sampled_from(TOPICS)
few = st.integers(0, 6)


@dataclass
class SentMessage:
    topic: bytes
    message_id: MessageId


@dataclass
class SentHeartbeat:
    n: int
    generation: int


@dataclass
class Publisher:
    """Sends, keeps and replays messages, as a node does."""

    node_id: NodeId
    buffer: ReplayBuffer
    sequencer: Sequencer
    sent: dict[bytes, list[int]] = field(default_factory=lambda: {topic: [] for topic in TOPICS})
    refused: set[int] = field(default_factory=set)
    generation: Counter[int] = field(default_factory=Counter)
    connected: set[int] = field(default_factory=set)
    full: set[int] = field(default_factory=set)
    queues: dict[int, deque[object]] = field(default_factory=lambda: {link: deque() for link in LINKS})
    requests: deque[tuple[ReplayRequest, int | None]] = field(default_factory=deque)

    @property
    def n(self) -> int:
        return self.sequencer.unsequenced_id().n

    def publish(self, topic: bytes, now: float) -> None:
        message_id = self.sequencer.next_id(topic)
        by = self.connected - self.full
        for link in by:
            self.queues[link].append(SentMessage(topic, message_id))
        self.buffer.add(message_id.n, topic, str(message_id.n).encode(), now)
        if by:
            self.buffer.mark_sent()
        else:
            self.buffer.hold_newest()
        self.buffer.trim()
        self.sent[topic].append(message_id.n)

    def refuse(self, topic: bytes, now: float) -> None:
        message_id = self.sequencer.next_id(topic)
        self.buffer.add(message_id.n, topic, b"", now)
        assert self.buffer.refuse_newest()
        self.buffer.hold_newest()
        self.buffer.trim()
        self.sent[topic].append(message_id.n)
        self.refused.add(message_id.n)

    def heartbeat(self, link: int) -> None:
        if link in self.connected - self.full:
            self.queues[link].append(SentHeartbeat(self.n, self.generation[link]))

    def connect(self, link: int) -> None:
        """Connect, or accept messages again: the first message announces it."""
        self.connected.add(link)
        self.full.discard(link)
        self.generation[link] += 1
        self.heartbeat(link)

    def disconnect(self, link: int) -> None:
        self.connected.discard(link)
        self.full.discard(link)
        self.queues[link].clear()

    def answer(self, request: ReplayRequest, now: float) -> ReplayAnswer:
        known = TopicBloomFilter(request.topics)
        pages = self.buffer.newest_page if request.numbers_only else self.buffer.page
        page = pages(request.after, known.__contains__, max_age_s=request.max_age_s, now=now, limits=LIMITS)
        return ReplayAnswer(
            request.request_id, page.upto, page.complete, page.forgotten, page.lost, page.messages, page.newest
        )


class ReplayMachine(RuleBasedStateMachine):
    """See the docstring of the module."""

    buffer_bytes = 1 << 20

    @initialize()
    def start(self) -> None:
        self.now = 1_000.0
        self.publishers = {
            node_id: Publisher(
                node_id, ReplayBuffer(self.buffer_bytes, 60.0, dropped_kept=10_000), Sequencer(node_id)
            )
            for node_id in PUBLISHERS
        }
        self.receiver = Receiver(TopicSubscriptions(b"t/sessions/", self.now), 60.0)
        self.receiver.subscriptions.add(SUBSCRIBED, self.now)
        self.receiver.tick(self.now)
        self.up: set[int] = set()
        self.dropping: dict[int, int] = {}
        self.inbox: dict[int, deque[tuple[NodeId, object]]] = {link: deque() for link in LINKS}
        self.delivered: dict[NodeId, list[tuple[int, bytes]]] = {node_id: [] for node_id in PUBLISHERS}
        self.reported_lost = 0
        self.dropped = False
        for link in LINKS:
            self.node_connects(link)
            for node_id in PUBLISHERS:
                self.publishers[node_id].connect(link)
                # Losses before the first contact are not reported.
                self.broker_forwards(node_id, link, 1)
            self.node_reads(link, 2)

    # Publishers.

    @rule(node_id=publishers, topic=topics, times=few)
    def publish(self, node_id: NodeId, topic: bytes, times: int) -> None:
        for _ in range(times):
            self.now += 0.001
            self.publishers[node_id].publish(topic, self.now)

    @rule(node_id=publishers, topic=topics)
    def publish_without_room(self, node_id: NodeId, topic: bytes) -> None:
        """No broker accepts the message, and the buffer has no room for it."""
        publisher = self.publishers[node_id]
        if not publisher.connected - publisher.full:
            self.now += 0.001
            publisher.refuse(topic, self.now)

    @rule(node_id=publishers, link=links)
    def heartbeat(self, node_id: NodeId, link: int) -> None:
        self.publishers[node_id].heartbeat(link)

    @rule(node_id=publishers, link=links)
    def publisher_queue_is_full(self, node_id: NodeId, link: int) -> None:
        if link in self.publishers[node_id].connected:
            self.publishers[node_id].full.add(link)

    @rule(node_id=publishers, link=links)
    def publisher_queue_has_room_again(self, node_id: NodeId, link: int) -> None:
        if link in self.publishers[node_id].full:
            self.publishers[node_id].connect(link)

    # Connections.

    @rule(node_id=publishers, link=links)
    def publisher_disconnects(self, node_id: NodeId, link: int) -> None:
        self.publishers[node_id].disconnect(link)

    @rule(node_id=publishers, link=links)
    def publisher_connects(self, node_id: NodeId, link: int) -> None:
        if link not in self.publishers[node_id].connected:
            self.publishers[node_id].connect(link)

    @rule(link=links)
    def node_disconnects(self, link: int) -> None:
        if link in self.up:
            self.up.discard(link)
            self.inbox[link].clear()
            self.dropping.pop(link, None)
            self.receiver.link_lost(link)

    @rule(link=links)
    def node_connects(self, link: int) -> None:
        if link not in self.up:
            self.up.add(link)
            self.receiver.link_connected(link, self.now)

    @rule(link=links)
    def broker_does_not_acknowledge(self, link: int) -> None:
        """The node no longer relies on the broker, though messages still arrive by it."""
        if link in self.up:
            self.receiver.link_lost(link)
            self.receiver.link_connected(link, self.now)

    @rule(link=links)
    def broker_dies(self, link: int) -> None:
        self.node_disconnects(link)
        for publisher in self.publishers.values():
            publisher.disconnect(link)

    @rule(link=links, count=few, sooner=few)
    def broker_drops(self, link: int, count: int, sooner: int) -> None:
        """The queue to the node is full. The node learns of the overrun some messages before the first gap.

        An answer to an earlier request may be among these messages.
        """
        if link in self.up and not self.dropping.get(link):
            inbox = self.inbox[link]
            inbox.insert(max(0, len(inbox) - sooner), (PUBLISHERS[0], "overrun"))
            self.dropping[link] = count

    @rule()
    def node_stalls(self) -> None:
        self.now += STALL_S + 1
        self.receiver.tick(self.now)

    # Moving messages.

    @rule(node_id=publishers, link=links, count=few)
    def broker_forwards(self, node_id: NodeId, link: int, count: int) -> None:
        queue = self.publishers[node_id].queues[link]
        for _ in range(min(count, len(queue))):
            self.forward(node_id, link, queue.popleft())

    def forward(self, node_id: NodeId, link: int, item: object) -> None:
        if isinstance(item, SentMessage) and item.topic not in SUBSCRIBED:
            return
        if link not in self.up:
            return
        if self.dropping.get(link):
            self.dropping[link] -= 1
            self.dropped = True
            return
        self.inbox[link].append((node_id, item))

    @rule(link=links, count=few)
    def node_reads(self, link: int, count: int) -> None:
        for _ in range(min(count, len(self.inbox[link]))):
            node_id, item = self.inbox[link].popleft()
            self.read(link, node_id, item)

    def read(self, link: int, node_id: NodeId, item: object) -> None:
        match item:
            case SentMessage():
                if self.receiver.accept(link, item.topic, item.message_id, self.now):
                    self.delivered[node_id].append((item.message_id.n, item.topic))
            case SentHeartbeat():
                self.receiver.heartbeat(link, MessageId(node_id, item.n), item.generation, self.now)
            case ReplayAnswer():
                numbers = [int(row.body) for row in item.messages]
                result = self.receiver.answer(link, node_id, item, numbers, self.now)
                self.delivered[node_id] += [(numbers[index], item.messages[index].topic) for index in result.rows]
                if result.gap is not None:
                    assert result.gap.messages is not None
                    self.reported_lost += result.gap.messages
            case "overrun":
                self.receiver.link_overrun(link, self.now)

    @rule(node_id=publishers, link=links)
    def stale_copy(self, node_id: NodeId, link: int) -> None:
        """A delivered message arrives again."""
        if self.delivered[node_id]:
            n, topic = self.delivered[node_id][len(self.delivered[node_id]) // 2]
            assert not self.receiver.accept(link, topic, MessageId(node_id, n, 0), self.now)

    @rule()
    def node_sends_requests(self) -> None:
        self.now += 2.0
        due = [*self.receiver.take_due_requests(self.now), *self.receiver.take_due_checks(self.now)]
        for node_id, request, link in due:
            connected = self.publishers[node_id].connected & self.up
            if connected if link is None else link in connected:
                self.publishers[node_id].requests.append((request, link))

    @rule(node_id=publishers)
    def publisher_answers(self, node_id: NodeId) -> None:
        publisher = self.publishers[node_id]
        if publisher.requests:
            request, asked_by = publisher.requests.popleft()
            answer = publisher.answer(request, self.now)
            for link in publisher.connected - publisher.full:
                if asked_by in (None, link):
                    publisher.queues[link].append(answer)

    # Guarantees.

    @invariant()
    def no_duplicates_and_each_topic_is_in_order(self) -> None:
        for node_id, delivered in getattr(self, "delivered", {}).items():
            for topic in SUBSCRIBED:
                numbers = [n for n, on in delivered if on == topic]
                assert numbers == sorted(set(numbers)), (node_id, topic, numbers)

    @invariant()
    def rooms_do_not_overtake_each_other_unless_a_broker_dropped_messages(self) -> None:
        if not getattr(self, "dropped", True):
            for node_id, delivered in self.delivered.items():
                assert delivered == sorted(delivered), node_id

    @precondition(lambda self: hasattr(self, "delivered"))
    @rule()
    def every_message_arrives_or_is_reported_lost(self) -> None:
        self.run_until_idle()
        for node_id, publisher in self.publishers.items():
            had = {n for n, _ in self.delivered[node_id]}
            due = {n for topic in SUBSCRIBED for n in publisher.sent[topic]}
            assert due - had == due & publisher.refused, f"{node_id} never arrived, and no loss was reported"
        refused = sum(
            n in publisher.refused
            for publisher in self.publishers.values()
            for topic in SUBSCRIBED
            for n in publisher.sent[topic]
        )
        assert self.reported_lost == refused

    def run_until_idle(self) -> None:
        """Connect everything, and run until nothing is left to do."""
        for link in LINKS:
            self.dropping[link] = 0
            self.node_connects(link)
            for node_id in PUBLISHERS:
                self.publisher_connects(node_id, link)
                self.publisher_queue_has_room_again(node_id, link)
        for _ in range(200):
            self.node_sends_requests()
            for node_id in PUBLISHERS:
                while self.publishers[node_id].requests:
                    self.publisher_answers(node_id)
            for link in LINKS:
                for node_id in PUBLISHERS:
                    self.publishers[node_id].heartbeat(link)
                    self.broker_forwards(node_id, link, 1_000)
                self.node_reads(link, 1_000)
            if not self.receiver.is_waiting:
                return
        raise AssertionError("the machine never becomes idle")


class TinyRingMachine(ReplayMachine):
    """With a buffer of three messages, most are lost. All losses must be reported, with their exact count."""

    buffer_bytes = 3 * 210

    @precondition(lambda self: hasattr(self, "delivered"))
    @rule()
    def every_message_arrives_or_is_reported_lost(self) -> None:
        self.run_until_idle()
        had = sum(len(delivered) for delivered in self.delivered.values())
        due = sum(len(publisher.sent[topic]) for publisher in self.publishers.values() for topic in SUBSCRIBED)
        assert had + self.reported_lost == due


EXAMPLES = int(settings().max_examples * float(os.environ.get("ZMQIO_EXAMPLES", "1")))
SETTINGS = settings(max_examples=EXAMPLES, stateful_step_count=60, deadline=None)
TestReplay = ReplayMachine.TestCase
TestReplay.settings = SETTINGS
TestTinyRing = TinyRingMachine.TestCase
TestTinyRing.settings = SETTINGS
