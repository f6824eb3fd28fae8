"""Tests of `zmqio.zeromq.publisher`."""

import asyncio
import threading
import time

import pytest
import zmq

from tests.support.ports import free_port
from tests.support.timing import LIMIT_S, wait_until
from tests.support.zmtp_connections import peer_at
from zmqio.zeromq.connection import ZmtpConnectionEvents
from zmqio.zeromq.publisher import Publisher


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
