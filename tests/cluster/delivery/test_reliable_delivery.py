"""Real nodes on a bus in memory: missed messages are replayed, and losses are reported."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
from structlog.testing import capture_logs

from tests.support.memory_bus import MemoryNetwork
from tests.support.node_harness import ME, PEER, NodeEventLog, NodeHarness
from tests.support.timing import wait_until
from zmqio.adapter.base import Identity
from zmqio.cluster.node import Node
from zmqio.config import BusOptions
from zmqio.exceptions import BusOverflowError
from zmqio.ids import NodeId, NodeTag
from zmqio.protocol import messages as m
from zmqio.protocol.envelope import decode, encode
from zmqio.protocol.messages import Envelope, Message, MessageId
from zmqio.protocol.publish import PublishRequest
from zmqio.protocol.relay_messages import HttpResponse, RelayMessage
from zmqio.protocol.topic import all_topic, inbox_topic, room_topic

ALL = all_topic("zmqio")
ROOMS = [room_topic("zmqio", "/", name) for name in ("a", "b", "c")]
TOPICS = [ALL, *ROOMS]


class Member:
    """A node that subscribes to all rooms, and records the numbers that it receives."""

    def __init__(self, network: MemoryNetwork, number: int, options: BusOptions) -> None:
        tag = f"tag{number}"
        self.node_id = NodeId(f"{tag}{number:011}")
        self.bus = network.bus(tag, max_message_bytes=options.max_message_bytes)
        self.events = NodeEventLog()
        self.received: list[tuple[NodeId, int]] = []
        self.node = Node(Identity(self.node_id, NodeTag(tag)), self.bus, options, self.events)
        self.node.inbound.attach("/", self)
        self.published = 0

    def receive(self, message: Message, sender: NodeId, number: int) -> None:
        assert isinstance(message, m.FetchRooms)
        self.received.append((sender, message.request_id))

    def apply(self, request: PublishRequest) -> None:
        raise AssertionError("no publish request is expected")

    def publish(self, count: int) -> None:
        """Publish the next `count` numbers, each on the next topic."""
        for _ in range(count):
            self.published += 1
            self.node.outbox.publish(TOPICS[self.published % len(TOPICS)], m.FetchRooms(self.published, "/"))

    def try_publish(self) -> bool:
        """Publish the next number; False if the buffer has no room for it."""
        try:
            self.publish(1)
        except BusOverflowError:
            self.published -= 1
            return False
        return True

    def publish_while(self, condition: Callable[[], bool]) -> int:
        """Publish at least one number, and more while a condition holds; return how many were refused."""
        refused = not self.try_publish()
        while condition():
            refused += not self.try_publish()
        return refused

    def numbers_of(self, sender: "Member") -> list[int]:
        return [number for node_id, number in self.received if node_id == sender.node_id]

    def counter(self, name: str) -> int:
        counters: dict[str, int] = self.node.health().details["counters"]["bus"]
        return counters.get(name, 0)

    def details(self) -> dict[str, int]:
        replay: dict[str, int] = self.node.health().details["replay"]
        return dict(replay)

    async def has_received(self, sender: "Member", upto: int) -> None:
        """Wait for a number; all numbers before it must have arrived once and in order."""
        await wait_until(lambda: upto in self.numbers_of(sender), f"{upto} of {sender.node_id}")
        assert self.numbers_of(sender) == list(range(1, upto + 1))


@asynccontextmanager
async def running(
    nodes: int = 2, links: int = 1, **options: float
) -> AsyncIterator[tuple[MemoryNetwork, list[Member]]]:
    """Run nodes that know each other."""
    network = MemoryNetwork(links)
    chosen = BusOptions(heartbeat_s=0.02, dead_after_s=2.0, **options)  # type: ignore[arg-type]
    members = [Member(network, number, chosen) for number in range(1, nodes + 1)]
    for member in members:
        await member.node.start()
        await member.node.subscribe(ROOMS)
    await wait_until(lambda: all(len(member.node.peers) == nodes - 1 for member in members), "all know each other")
    try:
        yield network, members
    finally:
        for member in members:
            await member.node.close()


def carried(network: MemoryNetwork, member: Member) -> Callable[[], bool]:
    """Return a check whether a message has reached a member since this call."""
    before = network.delivered[member.bus.name]
    return lambda: network.delivered[member.bus.name] > before


async def test_messages_published_during_an_outage_arrive_once_and_in_order_across_topics() -> None:
    async with running(nodes=3) as (network, (one, two, three)):
        one.publish(10)
        network.cut(0)
        await wait_until(lambda: not one.bus.connected_links, "the loss")
        one.publish(200)
        two.publish(5)
        network.mend(0)
        await two.has_received(one, 210)
        await three.has_received(one, 210)
        await three.has_received(two, 5)
        one.publish(1)
        await three.has_received(one, 211)
        assert two.counter("replayed_messages") >= 200
        assert one.counter("message_queued") == 200
        assert one.counter("replayed_messages_sent") >= 400
        assert [member.events.gaps for member in (one, two, three)] == [[], [], []]


async def test_messages_that_one_node_misses_are_replayed_to_it_alone() -> None:
    async with running(nodes=3) as (_network, (one, two, three)):
        two.bus.link_down(0)
        await wait_until(lambda: not two.bus.connected_links, "the loss")
        one.publish(50)
        await three.has_received(one, 50)
        two.bus.link_up(0)
        await two.has_received(one, 50)
        assert three.counter("replayed_messages") == 0
        assert two.details()["open_requests"] == 0


async def test_messages_of_an_outage_that_filled_the_buffer_are_not_replaced_before_others_request_them() -> None:
    """The publisher goes on without a pause when the broker is back. Refused messages are told to the caller."""
    async with running(nodes=3, replay_ring_bytes=20_000) as (network, (one, two, three)):
        one.publish(10)
        network.cut(0)
        await wait_until(lambda: not one.bus.connected_links, "the loss")
        refused = one.publish_while(lambda: one.counter("publish_failed") < 5)
        network.mend(0)
        await wait_until(lambda: one.bus.connected_links, "the broker")
        for _ in range(200):
            refused += not one.try_publish()
            await asyncio.sleep(0)
        await wait_until(one.try_publish, "room in the buffer")
        one.publish(50)
        await two.has_received(one, one.published)
        await three.has_received(one, one.published)
        assert refused > 0
        assert [member.events.gaps for member in (one, two, three)] == [[], [], []]


@pytest.mark.parametrize("is_sent", [True, False])
async def test_message_whose_bus_fails_unexpectedly_arrives_once_and_so_do_later_ones(is_sent: bool) -> None:
    """Number 4 raised. It arrives if a broker accepted it; no other message is dropped as its duplicate."""
    async with running(nodes=2) as (_network, (one, two)):
        one.publish(3)
        publish = one.bus.publish

        def fail(topic: bytes, body: bytes, *, link: int | None = None) -> int:
            if is_sent:
                publish(topic, body, link=link)
            raise RuntimeError("a bug")

        one.bus.publish = fail  # type: ignore[method-assign]
        with pytest.raises(RuntimeError):
            one.publish(1)
        one.bus.publish = publish  # type: ignore[method-assign]
        one.publish(20)
        await wait_until(lambda: 24 in two.numbers_of(one), "the newest")
        received = two.numbers_of(one)
        assert [number for number in received if number != 4] == [1, 2, 3, *range(5, 25)]
        assert received.count(4) <= 1
        assert not is_sent or received[3] == 4


def count_rows_sent_again(network: MemoryNetwork) -> list[int]:
    """Record the number of messages in each answer, once for each broker that carries it, from now on."""
    rows: list[int] = []

    def record(topic: bytes, body: bytes) -> bool:
        envelope = decode(body)
        if isinstance(envelope.message, m.ReplayAnswer):
            rows.append(len(envelope.message.messages))
        return False

    network.faults.drop = record
    return rows


async def test_each_missed_message_is_sent_again_once_by_one_of_two_brokers() -> None:
    """Before, both brokers carried the answers to both copies of the request: four times each message."""
    async with running(nodes=3, links=2) as (network, (one, two, three)):
        rows = count_rows_sent_again(network)
        for link in (0, 1):
            two.bus.link_down(link)
        await wait_until(lambda: not two.bus.connected_links, "the loss")
        for publisher in (one, three):
            publisher.publish(100)
        for link in (0, 1):
            two.bus.link_up(link)
        await two.has_received(one, 100)
        await two.has_received(three, 100)
        assert sum(rows) == 200
        assert (one.counter("replay_requests_sent"), three.counter("replay_requests_sent")) == (0, 0)


async def test_messages_dropped_by_two_brokers_are_sent_again_once_and_both_links_recover() -> None:
    """The links of a node that read too slowly are checked one after the other."""
    async with running(links=2) as (network, (one, two)):
        one.publish(20)
        await two.has_received(one, 20)
        network.faults.drop = lambda topic, body: decode(body).id.previous is not None
        one.publish(100)
        await asyncio.sleep(0)
        rows = count_rows_sent_again(network)
        for link in (0, 1):
            two.node.inbound.link_doubted(link)
        await two.has_received(one, 120)
        await wait_until(lambda: not two.details()["open_requests"], "both answers")
        assert sum(rows) == 100
        assert two.counter("replay_requests_sent") <= 4
        network.cut(0)
        one.publish(1)
        await two.has_received(one, 121)
        assert sum(rows) == 100


async def test_last_messages_of_an_outage_arrive_without_a_later_message() -> None:
    async with running() as (_network, (one, two)):
        one.bus.link_down(0)
        one.publish(3)
        one.bus.link_up(0)
        await two.has_received(one, 3)


async def test_loss_of_one_of_two_brokers_costs_no_replay_request() -> None:
    async with running(links=2) as (network, (one, two)):
        one.publish(10)
        await two.has_received(one, 10)
        requests = two.counter("replay_requests_sent")
        network.cut(0)
        await wait_until(lambda: len(two.bus.connected_links) == 1, "the loss")
        one.publish(20)
        network.mend(0)
        await wait_until(lambda: len(two.bus.connected_links) == 2, "both")
        one.publish(20)
        await two.has_received(one, 50)
        assert two.counter("replay_requests_sent") == requests


async def test_loss_of_both_brokers_one_after_the_other_loses_nothing() -> None:
    async with running(links=2) as (network, (one, two)):
        for _ in range(5):
            for link in (0, 1):
                network.cut(link)
                one.publish(7)
            for link in (1, 0):
                network.mend(link)
                one.publish(7)
                await wait_until(carried(network, two), "something")
        one.publish(1)
        await two.has_received(one, 141)
        assert two.events.gaps == []


async def test_messages_rejected_by_a_full_queue_arrive_when_it_accepts_messages_again() -> None:
    async with running() as (_network, (one, two)):
        one.publish(5)
        one.bus.fill(0)
        one.publish(20)
        assert one.details()["ring_unsent_messages"] == 20
        await two.has_received(one, 25)
        assert one.counter("message_queued") == 20


async def test_full_queue_to_one_of_two_brokers_loses_nothing_when_the_other_is_lost() -> None:
    async with running(links=2) as (network, (one, two)):
        one.bus.fill(0)
        one.publish(20)
        network.cut(1)
        await two.has_received(one, 20)
        assert two.events.gaps == []


async def test_messages_dropped_from_a_tiny_buffer_are_a_gap_with_their_exact_count() -> None:
    async with running(nodes=3, replay_ring_bytes=3_000) as (_network, (one, two, three)):
        one.publish(10)
        await two.has_received(one, 10)
        with capture_logs() as lines:
            two.bus.link_down(0)
            await wait_until(lambda: not two.bus.connected_links, "the loss")
            one.publish(100)
            await three.has_received(one, 110)
            two.bus.link_up(0)
            await wait_until(lambda: 110 in two.numbers_of(one), "the newest")
        received = two.numbers_of(one)
        kept = one.details()["ring_messages"]
        assert 0 < kept < 100
        assert received == [*range(1, 11), *range(111 - kept, 111)]
        [gap] = two.events.gaps
        assert (gap.node_id, gap.first, gap.last, gap.messages) == (one.node_id, 11, 110, 100 - kept)
        assert (two.counter("bus_gaps"), two.counter("bus_gap_messages")) == (1, 100 - kept)
        assert [line["messages"] for line in lines if line["event"] == "bus_gap_detected"] == [100 - kept]
        assert three.events.gaps == []


async def test_gap_counts_only_topics_of_this_node() -> None:
    async with running(replay_ring_bytes=3_000) as (_network, (one, two)):
        two.node.unsubscribe(ROOMS)
        two.bus.link_down(0)
        await wait_until(lambda: not two.bus.connected_links, "the loss")
        one.publish(101)
        one.node.outbox.publish(ROOMS[0], m.FetchRooms(0, "/"))
        two.bus.link_up(0)
        await wait_until(lambda: 100 in two.numbers_of(one), "the newest on the topic of all nodes")
        # Every fourth number is on that topic. The gap is reported before the messages behind it are delivered.
        [gap] = two.events.gaps
        assert gap.messages == 25 - len(two.numbers_of(one))


class Unreachable:
    """A `NodeMessageHandler` that records the nodes that it can no longer reach."""

    def __init__(self) -> None:
        self.nodes: list[NodeId] = []

    def received(self, sender: NodeId, message: RelayMessage) -> None: ...

    def node_unreachable(self, node_id: NodeId, reason: str) -> None:
        self.nodes.append(node_id)


@pytest.mark.parametrize("to_inbox", [False, True])
async def test_gap_ends_requests_between_two_nodes_only_if_it_is_in_the_inbox(to_inbox: bool) -> None:
    async with running(replay_ring_bytes=3_000) as (_network, (one, two)):
        unreachable = Unreachable()
        two.node.unicast.attach(unreachable)
        one.publish(4)
        await two.has_received(one, 4)
        two.bus.link_down(0)
        await wait_until(lambda: not two.bus.connected_links, "the loss")
        if to_inbox:
            one.node.unicast.send_to(two.node_id, HttpResponse(1, 200, (), b""))
        one.publish(100)
        two.bus.link_up(0)
        await wait_until(lambda: two.events.gaps, "the gap")
        await wait_until(lambda: two.details()["open_requests"] == 0, "the end of the replay")
        assert unreachable.nodes == [one.node_id] * to_inbox


async def test_duplicate_messages_are_counted_and_not_delivered() -> None:
    async with running() as (network, (one, two)):
        network.faults.double = 1.0
        one.publish(20)
        await two.has_received(one, 20)
        await wait_until(lambda: two.counter("duplicate_messages") == 20, "the copies")


async def test_messages_dropped_after_an_overrun_are_found_without_a_later_message() -> None:
    async with running() as (network, (one, two)):
        one.publish(5)
        await two.has_received(one, 5)
        two.node.inbound.link_overrun(0)
        network.faults.drop = lambda topic, body: topic in TOPICS  # the broker's queue to the others is full
        one.publish(10)
        network.faults.drop = lambda topic, body: False
        await two.has_received(one, 15)
        assert (two.counter("link_overruns"), two.counter("replay_requests_sent")) == (1, 1)


async def test_messages_that_are_only_late_are_not_sent_again_after_an_overrun() -> None:
    async with running() as (network, (one, two)):
        rows = count_rows_sent_again(network)
        two.bus.pause()
        one.publish(100)
        for _ in range(5):
            two.node.inbound.link_overrun(0)
        two.bus.resume()
        await two.has_received(one, 100)
        await wait_until(lambda: two.counter("replay_checks_sent") >= 2, "checks")
        assert (sum(rows), two.counter("replay_requests_sent")) == (0, 0)


async def test_link_that_is_doubted_delivers_nothing_until_dropped_messages_were_replayed() -> None:
    async with running() as (network, (one, two)):
        one.publish(5)
        await two.has_received(one, 5)
        two.node.inbound.link_doubted(0)
        network.faults.drop = lambda topic, body: topic in ROOMS
        one.publish(10)
        network.faults.drop = lambda topic, body: False
        one.publish(1)
        await two.has_received(one, 16)


async def test_silent_gap_is_found_by_the_next_message_on_its_topic() -> None:
    async with running() as (network, (one, two)):
        one.publish(8)
        await two.has_received(one, 8)
        network.faults.drop = lambda topic, body: topic in TOPICS and len(network.log) % 2 == 0
        one.publish(8)
        network.faults.drop = lambda topic, body: False
        one.publish(4)
        await wait_until(lambda: two.counter("link_gaps") and set(two.numbers_of(one)) == set(range(1, 21)), "all")
        assert len(two.numbers_of(one)) == 20  # each once; the order holds per topic only


async def test_paused_node_receives_everything_when_it_resumes() -> None:
    async with running() as (_network, (one, two)):
        two.bus.pause()
        one.publish(30)
        two.bus.resume()
        await two.has_received(one, 30)


async def test_messages_under_way_when_a_paused_node_resumes_do_not_overtake_those_that_wait() -> None:
    """The bus in memory keeps the order of a link: late responses looked like duplicates before."""
    async with running() as (_network, (one, two)):
        two.bus.pause()
        one.publish(30)
        for _ in range(10):
            await asyncio.sleep(0)
        one.publish(10)
        two.bus.resume()
        await two.has_received(one, 40)
        assert two.counter("duplicate_messages") == two.counter("replay_requests_sent") == 0


async def test_node_that_joins_late_receives_everything_from_its_start_without_a_gap() -> None:
    async with running(replay_ring_bytes=3_000) as (network, (one, _two)):
        one.publish(500)
        late = Member(network, 9, BusOptions(heartbeat_s=0.02))
        await late.node.start()
        await late.node.subscribe(ROOMS)
        await wait_until(lambda: one.node_id in late.node.peers, "the join")
        await wait_until(lambda: late.details()["open_requests"] == 0, "the end of the first request")
        one.publish(20)
        await wait_until(lambda: 520 in late.numbers_of(one), "the newest")
        numbers = late.numbers_of(one)
        assert numbers[-20:] == list(range(501, 521))
        # It may receive older ones, which differ by topic: it subscribed to `ALL` before the rooms, and the time
        # that an answer takes makes its messages look younger.
        older = numbers[:-20]
        assert older == sorted(set(older))
        for remainder in range(len(TOPICS)):
            of_topic = [number for number in older if number % len(TOPICS) == remainder]
            assert of_topic == list(range(of_topic[0], 501, len(TOPICS))) if of_topic else True
        assert late.events.gaps == []
        await late.node.close()


async def test_messages_missing_from_a_node_that_left_are_reported_as_lost() -> None:
    async with running() as (network, (one, two)):
        one.publish(4)
        await two.has_received(one, 4)
        network.faults.drop = lambda topic, body: topic.startswith(b"zmqio/u/")  # no replay request arrives
        two.node.inbound.link_doubted(0)
        one.publish(8)
        await wait_until(lambda: two.counter("deferred_messages") == 8, "deferred messages")
        await one.node.close()
        await wait_until(lambda: two.events.gaps, "the gap")
        [gap] = two.events.gaps
        assert (gap.first, gap.last, gap.messages, gap.reason) == (5, 12, None, "the node has left")


async def test_details_show_the_size_of_the_buffer() -> None:
    async with running() as (_network, (one, _two)):
        assert one.details() == {
            "ring_messages": 0,
            "ring_bytes": 0,
            "ring_unsent_messages": 0,
            "open_requests": 0,
        }
        one.publish(3)
        details = one.details()
        assert set(details) == {"ring_messages", "ring_bytes", "ring_unsent_messages", "open_requests"}
        assert (details["ring_messages"], details["ring_unsent_messages"]) == (3, 0)
        assert details["ring_bytes"] > 600


async def test_replay_requests_in_a_loop_are_answered_within_the_limit_of_bytes_per_second() -> None:
    async with running(replay_bytes_per_s=100_000) as (network, (sender, honest)):
        sender.publish(500)
        await honest.has_received(sender, 500)
        forger = NodeId("tag9AAAAAAAAAAA")
        inbox = inbox_topic("zmqio", sender.node_id)
        began_s = time.monotonic()
        for number in range(300):
            request = m.ReplayRequest(number, 0, 60.0, b"\xff" * 8)
            network.inject(inbox, encode(Envelope(MessageId(forger, 0), request)))
        await wait_until(lambda: sender.counter("replays_delayed") >= 290, "the refusals")
        to_forger = inbox_topic("zmqio", forger)
        sent = sum(len(body) for topic, body in network.log if topic == to_forger)
        assert 0 < sent < 200_000 + 100_000 * (time.monotonic() - began_s)
        network.cut(0)
        sender.publish(500)
        network.mend(0)
        await honest.has_received(sender, 1_000)


async def test_node_over_its_limit_receives_the_rest_later() -> None:
    async with running(replay_bytes_per_s=200_000) as (network, (sender, receiver)):
        network.cut(0)
        sender.publish(12_000)  # three pages, of several times the limit
        network.mend(0)
        await receiver.has_received(sender, 12_000)
        assert sender.counter("replays_delayed") > 0


async def test_replayed_message_of_another_implementation_is_delivered_however_its_number_is_packed() -> None:
    harness = await NodeHarness().ready()
    harness.network.inject(ALL, encode(Envelope(MessageId(PEER, 1), m.Heartbeat(True, 1.0, False, "far", 7, 1))))
    await wait_until(lambda: harness.sent(m.ReplayRequest), "the request")
    request: Any = harness.sent(m.ReplayRequest)[0][1].message
    signed = b"\xd3" + (1).to_bytes(8, "big")  # msgpack of 1 as a signed number of 64 bits
    body = b"\x97\x01\x0a" + msgpack.packb(PEER) + signed + b"\x00\x05" + msgpack.packb("/unserved")
    answer = m.ReplayAnswer(request.request_id, 1, True, 0, (), (m.ReplayedRow(ALL, body, 0.0),))
    harness.network.inject(inbox_topic("zmqio", ME), encode(Envelope(MessageId(PEER, 1), answer)))
    await wait_until(lambda: harness.sent(m.Response), "the response to the replayed request")
    assert harness.node.diagnostics.counters["bus_message_malformed"] == 0
    await harness.node.close()
