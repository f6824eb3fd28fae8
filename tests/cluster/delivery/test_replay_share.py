"""How much is sent again to a node that reads too slowly for long: a receiver behind a broker's queue."""

from collections import deque
from dataclasses import dataclass, field

import pytest

from zmqio.cluster.delivery.receiver import STALL_S, Receiver
from zmqio.cluster.delivery.replay_buffer import ReplayBuffer
from zmqio.cluster.delivery.sequencer import Sequencer
from zmqio.cluster.delivery.subscriptions import TopicSubscriptions
from zmqio.ids import NodeId
from zmqio.protocol.messages import MessageId, ReplayAnswer, ReplayRequest

P = NodeId("P")
TOPICS = tuple(b"t/%d" % number for number in range(5))
OVERRUN_MESSAGES = 80
BROKER_QUEUE = 200
"""A hundredth of the real limits: those of `zmqio.zeromq.subscriber`, and of the broker's queue for each node."""
READ_S = 0.03
"""A queue of 100 messages is read in 3 s, so a request may be repeated before its answer has arrived."""
SHARE = 0.25
"""Messages sent again for each message sent, at most."""


@dataclass
class SlowNode:
    """A node behind a broker's queue. It reads `speed` messages while the publisher sends one.

    Reading an answer takes as long as reading its messages.
    """

    speed: float
    now: float = 1_000.0
    queue: deque[object] = field(default_factory=deque)
    requests: list[ReplayRequest] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    published: int = 0
    due: float = 0.0
    sent_again: int = 0
    read_since_overrun: int = 0

    def __post_init__(self) -> None:
        self.buffer, self.sequencer = ReplayBuffer(1 << 30, 1e9), Sequencer(P)
        self.receiver = Receiver(TopicSubscriptions(b"s/", self.now), 1e9)
        self.receiver.subscriptions.add(TOPICS, self.now)
        self.receiver.link_connected(0, self.now)
        self.receiver.heartbeat(0, MessageId(P, 0), 1, self.now)

    def publish(self) -> None:
        self.published += 1
        topic = TOPICS[self.published % len(TOPICS)]
        message_id = self.sequencer.next_id(topic)
        self.buffer.add(message_id.n, topic, b"%d" % message_id.n, self.now)
        self.send((topic, message_id))

    def send(self, item: object) -> None:
        if len(self.queue) < BROKER_QUEUE:
            self.queue.append(item)

    def answer_requests(self) -> None:
        for request in self.requests:
            pages = self.buffer.newest_page if request.numbers_only else self.buffer.page
            page = pages(request.after, TOPICS.__contains__, max_age_s=request.max_age_s, now=self.now)
            self.sent_again += len(page.messages)
            self.send(ReplayAnswer(request.request_id, page.upto, True, 0, (), page.messages, page.newest))
        self.requests.clear()

    def read(self) -> None:
        item = self.queue.popleft()
        # A node that has read everything has missed nothing since it was last in doubt.
        self.read_since_overrun = self.read_since_overrun + 1 if self.queue else 0
        if self.read_since_overrun == OVERRUN_MESSAGES:
            self.read_since_overrun = 0
            self.receiver.link_overrun(0, self.now)
        if isinstance(item, ReplayAnswer):
            numbers = tuple(int(row.body) for row in item.messages)
            result = self.receiver.answer(0, P, item, numbers, self.now)
            self.received += [numbers[index] for index in result.rows]
            self._pass_time(1 + len(numbers))
        elif isinstance(item, tuple):
            if self.receiver.accept(0, *item, self.now):
                self.received.append(item[1].n)
            self._pass_time(1)

    def stall(self) -> None:
        """The loop was blocked for a while."""
        self.now += 2 * STALL_S
        self.receiver.tick(self.now)

    def run(self, messages: int) -> None:
        """Let time pass until so many more messages are published."""
        end = self.published + messages
        while self.published < end:
            if self.queue:
                self.read()
            else:
                self.publish()

    def read_all(self) -> None:
        while self.queue or self.requests or self.receiver.is_waiting:
            if self.queue:
                self.read()
            else:
                self._pass_time(1)
            self.speed = 1e9

    def _pass_time(self, reads: int) -> None:
        self.now += reads * READ_S
        self.receiver.tick(self.now)
        due = [*self.receiver.take_due_requests(self.now), *self.receiver.take_due_checks(self.now)]
        self.requests += [request for _, request, _ in due]
        self.answer_requests()
        self.due += reads / self.speed
        while self.due >= 1:
            self.due -= 1
            self.publish()


@pytest.mark.parametrize("waiting", [90, 190])
@pytest.mark.parametrize("speed", [1.02, 2.0])
def test_messages_that_are_only_late_are_not_sent_again(speed: float, waiting: int) -> None:
    """Before, each doubt made the publisher send the whole queue again, and that made the queue longer."""
    node = SlowNode(speed)
    for _ in range(waiting):
        node.publish()
    node.run(10_000)
    assert node.receiver.counts.checks > 1
    assert node.sent_again == 0
    node.read_all()
    assert node.received == list(range(1, node.published + 1))


def test_node_that_is_too_slow_for_a_while_receives_each_message_once() -> None:
    node = SlowNode(0.8)
    node.run(3_000)
    node.speed = 3.0
    node.run(3_000)
    node.read_all()
    assert node.sent_again > 0
    assert sorted(node.received) == list(range(1, node.published + 1))
    for first, _ in enumerate(TOPICS):
        numbers = [n for n in node.received if n % len(TOPICS) == first]
        assert numbers == sorted(numbers)


def test_node_that_stalls_again_and_again_receives_all_in_order_and_is_sent_little_again() -> None:
    node = SlowNode(3.0)
    for _ in range(30):
        for _ in range(190):
            node.publish()
        node.stall()
        node.run(500)
    assert 0 < node.sent_again <= SHARE * node.published
    node.read_all()
    assert node.received == list(range(1, node.published + 1))


def test_node_that_stalls_for_longer_than_the_queue_lasts_receives_all_in_order_across_topics() -> None:
    node = SlowNode(3.0)
    node.run(100)
    for _ in range(300):
        node.publish()
    node.stall()
    node.run(3_000)
    node.read_all()
    assert node.received == list(range(1, node.published + 1))
