"""Tests of `zmqio.zeromq.publisher`."""

import asyncio
import threading
import time

import pytest
import zmq

from tests.support.ports import free_port
from tests.support.timing import LIMIT_S, wait_until
from zmqio.zeromq.connection import ZmtpConnectionEvents
from zmqio.zeromq.publisher import Publisher


class Peer:
    """A publisher, and the XSUB of a broker that can come and go."""

    def __init__(self, receive_queue_messages: int = 0) -> None:
        self.context = zmq.Context()
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self.changes: list[str] = []
        events = ZmtpConnectionEvents(
            lambda: self.changes.append("up"), lambda _: self.changes.append("down"), lambda _: None
        )
        self.publisher = Publisher(asyncio.get_running_loop(), self.endpoint, 1_000, events)
        self.xsub = self.context.socket(zmq.XSUB)
        self.xsub.setsockopt(zmq.RCVHWM, receive_queue_messages)
        self.xsub.bind(self.endpoint)

    async def restart(self) -> None:
        """A new XSUB at the same port."""
        self.xsub = self.context.socket(zmq.XSUB)
        await wait_until(self.bound, "the port is free again")

    def bound(self) -> bool:
        """Bind, if the port is free."""
        try:
            self.xsub.bind(self.endpoint)
        except zmq.ZMQError:
            return False
        return True

    async def up(self, times: int = 1) -> None:
        self.xsub.send(b"\x01")
        await wait_until(lambda: self.turn() and self.changes.count("up") == times, "up")

    def turn(self) -> bool:
        """Let libzmq attach connections: it does so on the thread that uses the socket."""
        self.xsub.poll(0)
        return True

    async def received(self) -> bytes:
        await wait_until(lambda: self.xsub.poll(0), "a frame")
        return self.xsub.recv()

    def close(self) -> None:
        if leftover := self.publisher.leave():
            leftover.send_rest(0)
        self.context.destroy(linger=0)


@pytest.fixture
async def peer():
    peer = Peer()
    yield peer
    peer.close()


async def test_up_only_when_the_broker_wants_everything(peer):
    peer.xsub.send(b"\x01zmqio/a/")
    # A subscription seen by another publisher shows that this one's connection must be up as well by now.
    other = peer.context.socket(zmq.XPUB)
    other.connect(peer.endpoint)
    await wait_until(lambda: peer.turn() and other.poll(0), "a subscription at another publisher")
    other.close(linger=0)
    assert peer.changes == []
    await peer.up()
    assert peer.publisher.is_up


async def test_first_message_after_up_arrives_and_so_do_all_others(peer):
    await peer.up()
    assert all(peer.publisher.send(b"%d" % number) for number in range(500))
    assert [await peer.received() for _ in range(500)] == [b"%d" % number for number in range(500)]


@pytest.fixture
async def slow_peer():
    peer = Peer(receive_queue_messages=10)
    yield peer
    peer.close()


async def test_full_queue_is_told_and_has_room_again_when_the_broker_reads(slow_peer):
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


async def test_lost_connection_is_told_and_nothing_stale_is_sent_afterwards(peer):
    await peer.up()
    peer.xsub.close(linger=0)
    await wait_until(lambda: peer.changes == ["up", "down"], "down")
    assert not peer.publisher.is_up
    peer.publisher.send(b"stale")
    await peer.restart()
    await peer.up(times=2)
    peer.publisher.send(b"fresh")
    assert await peer.received() == b"fresh"


async def test_subscriptions_of_other_nodes_do_not_disturb(peer):
    await peer.up()
    for number in range(20_000):
        peer.xsub.send(b"\x01room-%d" % number)
    peer.publisher.send(b"x")
    assert await peer.received() == b"x"
    assert peer.changes == ["up"]


async def test_what_is_left_at_the_end_can_still_be_sent(peer):
    await peer.up()
    for number in range(500):
        peer.publisher.send(b"%d" % number)
    leftover = peer.publisher.leave()
    assert leftover is not None
    await asyncio.to_thread(leftover.send_rest, time.monotonic() + LIMIT_S)
    assert [await peer.received() for _ in range(500)] == [b"%d" % number for number in range(500)]


async def test_nothing_is_left_without_a_connection(peer):
    peer.xsub.close(linger=0)
    assert peer.publisher.leave() is None


async def test_leaving_twice_does_no_harm(peer):
    await peer.up()
    leftover = peer.publisher.leave()
    assert leftover is not None
    assert peer.publisher.leave() is None
    leftover.send_rest(0)


async def test_nothing_passes_the_next_connection_before_the_loss_was_told(peer):
    """The process was busy while the broker was restarted."""
    await peer.up()
    peer.xsub.close(linger=0)
    peer.xsub = peer.context.socket(zmq.XSUB)
    ends_at = time.monotonic() + LIMIT_S
    while not peer.bound():  # the loop gets no turn
        assert time.monotonic() < ends_at
    while peer.publisher.send(b"behind a hole"):  # the kernel takes some before it knows
        await asyncio.sleep(0)
        assert time.monotonic() < ends_at
    await wait_until(lambda: peer.changes == ["up", "down"], "the loss")
    await peer.up(times=2)
    assert peer.publisher.send(b"after it was told")
    assert await peer.received() == b"after it was told"


def test_what_is_sent_when_the_loop_is_closed_is_left_whole():
    peers = []

    async def make():
        peer = Peer()
        await peer.up()
        peers.append(peer)

    asyncio.run(make())
    (peer,) = peers
    sent = [b"%d" % number + bytes(50_000) for number in range(5)]
    assert all(map(peer.publisher.send, sent))
    leftover = peer.publisher.leave()
    assert leftover is not None
    sending = threading.Thread(target=leftover.send_rest, args=(time.monotonic() + LIMIT_S,))
    sending.start()
    assert [peer.xsub.recv() for _ in sent] == sent
    sending.join()
    peer.close()


async def test_subscription_of_a_connection_that_was_dropped_meanwhile_makes_nothing_up(peer):
    many = [b"\x01room-%d" % number for number in range(1_000)]
    for subscription in many:
        peer.xsub.send(subscription)
    peer.xsub.send(b"\x01")
    await wait_until(lambda: peer.turn() and peer.publisher.is_up, "up")
    peer.publisher.reset()
    assert not peer.publisher.is_up
    await wait_until(lambda: peer.turn() and peer.changes == ["up", "up"], "up again, by the next connection")
