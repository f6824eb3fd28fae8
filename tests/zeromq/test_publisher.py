"""Tests of `zmqio.zeromq.publisher`."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable

import pytest
import zmq

from tests.support.ports import free_port
from tests.support.timing import LIMIT_S, wait_until
from tests.support.zmtp_connections import peer_at
from zmqio.zeromq import publisher as publisher_module
from zmqio.zeromq.connection import ZmtpConnectionEvents
from zmqio.zeromq.publisher import BATCH_BYTES, Publisher


class Peer:
    """A publisher, and the XSUB of a broker that can be closed and bound again."""

    def __init__(self, receive_queue_messages: int = 0, queue_bytes: int = 64 << 20) -> None:
        self.context = zmq.Context()
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self.changes: list[str] = []
        events = ZmtpConnectionEvents(
            lambda: self.changes.append("up"), lambda _: self.changes.append("down"), lambda _: None
        )
        self.publisher = Publisher(asyncio.get_running_loop(), peer_at(self.endpoint), 1_000, queue_bytes, events)
        self.xsub = self.context.socket(zmq.XSUB)
        self.xsub.setsockopt(zmq.RCVHWM, receive_queue_messages)
        self.xsub.bind(self.endpoint)

    async def restart(self) -> None:
        """Bind a new XSUB to the same port."""
        self.xsub = self.context.socket(zmq.XSUB)
        await wait_until(self.try_bind, "the port is free again")

    def try_bind(self) -> bool:
        """Bind if the port is free; return whether it was."""
        try:
            self.xsub.bind(self.endpoint)
        except zmq.ZMQError:
            return False
        return True

    async def up(self, times: int = 1) -> None:
        self.xsub.send(b"\x01")
        await wait_until(lambda: self.process_events() and self.changes.count("up") == times, "up")

    def process_events(self) -> bool:
        """Make libzmq attach connections, which it does on the thread that uses the socket."""
        self.xsub.poll(0)
        return True

    async def received(self) -> bytes:
        await wait_until(lambda: self.xsub.poll(0), "a frame")
        return self.xsub.recv()

    def close(self) -> None:
        if flush := self.publisher.detach():
            flush.send_rest(0)
        self.context.destroy(linger=0)


@pytest.fixture
async def peer():
    peer = Peer()
    yield peer
    peer.close()


async def test_publisher_is_up_only_when_the_broker_subscribes_to_everything(peer):
    peer.xsub.send(b"\x01zmqio/a/")
    # A subscription received by another publisher shows that this one must be connected, too, by now.
    other = peer.context.socket(zmq.XPUB)
    other.connect(peer.endpoint)
    await wait_until(lambda: peer.process_events() and other.poll(0), "a subscription at another publisher")
    other.close(linger=0)
    assert peer.changes == []
    await peer.up()
    assert peer.publisher.is_up


async def test_all_messages_sent_once_up_arrive_in_order(peer):
    await peer.up()
    assert all(peer.publisher.send(b"%d" % number) for number in range(500))
    assert [await peer.received() for _ in range(500)] == [b"%d" % number for number in range(500)]


class RecordingConnection:
    """Records writes; is up at once, and full when told."""

    def __init__(self, *arguments: object) -> None:
        self.is_up = True
        self.is_lost = self.is_full = False
        self.writes: list[bytes] = []
        *_, self.received, self.drained = arguments

    def send(self, message: bytes) -> None:
        self.writes.append(message)

    def send_all(self, messages: Iterable[bytes]) -> None:
        self.writes.append(b"".join(messages))

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def restart(self) -> None: ...


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[Publisher, RecordingConnection]]:
    """Make a publisher that is up, and its connection."""

    def make() -> tuple[Publisher, RecordingConnection]:
        made: list[RecordingConnection] = []
        monkeypatch.setattr(
            publisher_module,
            "ZmtpConnection",
            lambda *arguments: made.append(RecordingConnection(*arguments)) or made[0],
        )
        events = ZmtpConnectionEvents(lambda: None, lambda _: None, lambda _: None)
        peer = peer_at("tcp://127.0.0.1:1")
        publisher = Publisher(asyncio.get_running_loop(), peer, 1_000, 64 << 20, events)
        made[0].received([b"\x01"], True)
        return publisher, made[0]

    return make


async def writes_of(publisher, connection, *messages: bytes) -> list[list[bytes]]:
    """Send in one turn; return the writes of this turn, and those at its end."""
    connection.writes = []
    for message in messages:
        assert publisher.send(message)
    at_once = connection.writes.copy()
    await asyncio.sleep(0)
    return [at_once, connection.writes[len(at_once) :]]


async def test_first_message_is_sent_at_once_unless_there_are_several_in_each_turn(recorded):
    publisher, connection = recorded()
    assert await writes_of(publisher, connection, b"1") == [[b"1"], []]
    assert await writes_of(publisher, connection, b"2", b"3", b"4") == [[b"2"], [b"34"]]
    assert await writes_of(publisher, connection, b"5", b"6", b"7") == [[], [b"567"]]
    assert await writes_of(publisher, connection, b"8") == [[], [b"8"]]
    assert await writes_of(publisher, connection, b"9") == [[b"9"], []]


async def test_burst_larger_than_a_batch_does_not_wait_for_the_end_of_the_turn(recorded):
    publisher, connection = recorded()
    await writes_of(publisher, connection, b"1", b"2")
    large = bytes(BATCH_BYTES)
    assert await writes_of(publisher, connection, b"3", large, b"4") == [[b"3" + large], [b"4"]]


async def test_new_connection_begins_without_a_burst(recorded):
    publisher, connection = recorded()
    await writes_of(publisher, connection, b"1", b"2")
    publisher.restart()
    connection.received([b"\x01"], True)
    assert await writes_of(publisher, connection, b"3") == [[b"3"], []]


async def test_burst_that_the_kernel_does_not_accept_is_sent_when_it_has_drained(recorded):
    publisher, connection = recorded()
    await writes_of(publisher, connection, b"1", b"2")
    connection.is_full = True
    assert await writes_of(publisher, connection, b"3", b"4") == [[], []]
    assert await writes_of(publisher, connection, b"5") == [[], []]
    connection.is_full = False
    connection.drained()
    assert connection.writes == [b"345"]
    assert await writes_of(publisher, connection, b"6") == [[], [b"6"]]


@pytest.fixture
async def slow_peer():
    peer = Peer(receive_queue_messages=10)
    yield peer
    peer.close()


async def test_send_fails_while_the_queue_is_full_and_succeeds_once_the_broker_reads(slow_peer):
    peer = slow_peer
    await peer.up()
    taken = 0
    while peer.publisher.send(bytes(10_000)):
        taken += 1
        assert taken < 100_000
    assert taken >= 1_000
    for _ in range(taken):
        await peer.received()
    await wait_until(lambda: peer.publisher.send(b"again"), "room in the queue")


async def test_queue_is_limited_in_bytes_and_takes_one_message_of_any_size() -> None:
    peer = Peer(receive_queue_messages=10, queue_bytes=10 << 20)
    await peer.up()
    large = bytes(1 << 20)
    accepted = 0
    while peer.publisher.send(large):
        accepted += 1
        await asyncio.sleep(0)
        assert accepted < 100, "no limit"
    assert accepted >= 10
    peer.close()

    peer = Peer(queue_bytes=100)
    await peer.up()
    assert peer.publisher.send(b"first of this turn")
    assert peer.publisher.send(bytes(1_000))
    assert not peer.publisher.send(b"x")
    peer.close()


async def test_loss_is_reported_and_nothing_stale_is_sent_after_it(peer):
    await peer.up()
    peer.xsub.close(linger=0)
    await wait_until(lambda: peer.changes == ["up", "down"], "down")
    assert not peer.publisher.is_up
    peer.publisher.send(b"stale")
    await peer.restart()
    await peer.up(times=2)
    peer.publisher.send(b"fresh")
    assert await peer.received() == b"fresh"


async def test_subscriptions_of_other_nodes_are_discarded(peer):
    await peer.up()
    for number in range(20_000):
        peer.xsub.send(b"\x01room-%d" % number)
    peer.publisher.send(b"x")
    assert await peer.received() == b"x"
    assert peer.changes == ["up"]


async def test_final_flush_sends_all_queued_messages(peer):
    await peer.up()
    for number in range(500):
        peer.publisher.send(b"%d" % number)
    flush = peer.publisher.detach()
    assert flush is not None
    await asyncio.to_thread(flush.send_rest, time.monotonic() + LIMIT_S)
    assert [await peer.received() for _ in range(500)] == [b"%d" % number for number in range(500)]


async def test_disconnected_publisher_has_no_final_flush(peer):
    peer.xsub.close(linger=0)
    assert peer.publisher.detach() is None


async def test_second_detach_returns_nothing(peer):
    await peer.up()
    flush = peer.publisher.detach()
    assert flush is not None
    assert peer.publisher.detach() is None
    flush.send_rest(0)


async def test_nothing_is_sent_on_the_next_connection_before_the_loss_is_reported(peer):
    """The process is busy while the broker restarts."""
    await peer.up()
    peer.xsub.close(linger=0)
    peer.xsub = peer.context.socket(zmq.XSUB)
    ends_at = time.monotonic() + LIMIT_S
    while not peer.try_bind():  # the loop gets no turn
        assert time.monotonic() < ends_at
    while peer.publisher.send(b"after a gap"):  # the kernel takes some before it knows
        await asyncio.sleep(0)
        assert time.monotonic() < ends_at
    await wait_until(lambda: peer.changes == ["up", "down"], "the loss")
    await peer.up(times=2)
    assert peer.publisher.send(b"after the report")
    assert await peer.received() == b"after the report"


def test_messages_sent_after_the_loop_is_closed_are_in_the_final_flush():
    peers = []

    async def make():
        peer = Peer()
        await peer.up()
        peers.append(peer)

    asyncio.run(make())
    (peer,) = peers
    sent = [b"%d" % number + bytes(50_000) for number in range(5)]
    assert all(map(peer.publisher.send, sent))
    flush = peer.publisher.detach()
    assert flush is not None
    sending = threading.Thread(target=flush.send_rest, args=(time.monotonic() + LIMIT_S,))
    sending.start()
    assert [peer.xsub.recv() for _ in sent] == sent
    sending.join()
    peer.close()


async def test_delayed_subscription_of_a_dropped_connection_does_not_make_the_publisher_up(peer):
    many = [b"\x01room-%d" % number for number in range(1_000)]
    for subscription in many:
        peer.xsub.send(subscription)
    peer.xsub.send(b"\x01")
    await wait_until(lambda: peer.process_events() and peer.publisher.is_up, "up")
    peer.publisher.restart()
    assert not peer.publisher.is_up
    await wait_until(
        lambda: peer.process_events() and peer.changes == ["up", "up"], "up again, by the next connection"
    )
