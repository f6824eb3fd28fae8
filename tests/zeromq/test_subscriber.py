"""Tests of `zmqio.zeromq.subscriber`."""

import asyncio
import itertools
from collections.abc import Iterable

import pytest
import zmq

from tests.support.timing import LIMIT_S, wait_until
from tests.support.zmtp_connections import peer_at
from zmqio.zeromq import subscriber
from zmqio.zeromq.connection import ZmtpConnectionEvents
from zmqio.zeromq.subscriber import OVERRUN_MESSAGES, Subscriber

ROOM = b"zmqio/r//\0room-1\0"


class Peer:
    """A bound XPUB and a subscriber that is connected to it."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self.xpub = self.context.socket(zmq.XPUB)
        self.xpub.setsockopt(zmq.SNDHWM, 0)
        port = self.xpub.bind_to_random_port("tcp://127.0.0.1")
        self.messages, self.notices, self.malformed, self.changes, self.overruns = [], [], [], [], []
        self.on_message = lambda topic, body: self.messages.append((topic, body))
        self.subscriber = Subscriber(
            asyncio.get_running_loop(),
            peer_at(f"tcp://127.0.0.1:{port}"),
            on_message=self.deliver,
            on_notice=self.notices.append,
            on_malformed=self.malformed.append,
            on_overrun=lambda: self.overruns.append(len(self.messages)),
            events=ZmtpConnectionEvents(
                lambda: self.changes.append("up"), lambda _: self.changes.append("down"), lambda _: None
            ),
        )

    def deliver(self, topic: bytes, body: bytes) -> None:
        """Pass a message to `on_message`, which a test may replace."""
        self.on_message(topic, body)

    async def subscriptions(self, count: int) -> list[bytes]:
        """The next `count` subscription frames that reach the XPUB."""
        frames: list[bytes] = []

        def arrived() -> bool:
            while len(frames) < count and self.xpub.poll(0):
                frames.append(self.xpub.recv())
            return len(frames) == count

        await wait_until(arrived, f"{count} subscriptions")
        return frames

    async def subscribed_to_all(self) -> None:
        self.subscriber.subscribe(b"")
        assert await self.subscriptions(1) == [b"\x01"]

    async def wait_for_turns(self) -> list[bytes]:
        """Subscribe to 200 topics, of which a third is sent at once; return all."""
        await self.subscribed_to_all()
        self.subscriber.set_limit(6_000)
        topics = [b"zmqio/r//\0room-%03d\0" % number for number in range(200)]
        for topic in topics:
            self.subscriber.subscribe(topic)
        await asyncio.sleep(0)
        return topics

    async def watch(self) -> None:
        """Subscribe another socket to the room, for `send_all`."""
        self.witness = self.context.socket(zmq.SUB)
        self.witness.setsockopt(zmq.RCVHWM, 0)
        self.witness.setsockopt(zmq.RCVTIMEO, int(LIMIT_S * 1_000))
        self.witness.subscribe(ROOM)
        self.witness.connect(self.xpub.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
        assert await self.subscriptions(1) == [b"\x01" + ROOM]

    def send_all(self, bodies: Iterable[bytes]) -> None:
        """Send messages, and wait until libzmq's thread has written them: the subscriber has them in the kernel.

        Otherwise, it may read them in the small portions in which that thread writes.
        """
        count = 0
        for count, body in enumerate(bodies, 1):  # noqa: B007 - the last number is the count
            self.xpub.send(ROOM + body)
        for _ in range(count):
            self.witness.recv()

    def close(self) -> None:
        self.subscriber.close()
        self.context.destroy(linger=0)


@pytest.fixture
async def peer():
    peer = Peer()
    yield peer
    peer.close()


async def test_one_frame_is_split_into_topic_and_body(peer):
    await peer.subscribed_to_all()
    peer.xpub.send(ROOM + b"body\0/x")
    await wait_until(lambda: peer.messages, "a message")
    assert peer.messages == [(ROOM, b"body\0/x")]


async def test_two_frames_are_topic_and_body(peer):
    await peer.subscribed_to_all()
    peer.xpub.send_multipart([ROOM, b"body"])
    peer.xpub.send(ROOM)
    peer.xpub.send_multipart([ROOM, b""])
    await wait_until(lambda: len(peer.messages) == 3, "three messages")
    assert peer.messages == [(ROOM, b"body"), (ROOM, b""), (ROOM, b"")]


async def test_malformed_messages_are_reported_and_the_next_message_still_arrives(peer):
    await peer.subscribed_to_all()
    for frames in (
        [b"no topic"],
        [b""],
        [b"zmqio/r//\0unterminated"],
        [ROOM, b"1", b"2"],
        [b"bad", b"x", b"y", b"z"],
    ):
        peer.xpub.send_multipart(frames)
    peer.xpub.send(ROOM + b"good")
    await wait_until(lambda: peer.messages, "the good message")
    assert peer.messages == [(ROOM, b"good")]
    assert len(peer.malformed) == 5


async def test_notices_of_the_broker_are_not_delivered_as_messages(peer):
    await peer.subscribed_to_all()
    sent = [b"\xffsync-anything", b"\xffgone-zmqio/u/node\0"]
    for frame in sent:
        peer.xpub.send(frame)
    await wait_until(lambda: len(peer.notices) == 2, "both notices")
    assert peer.notices == sent
    assert peer.messages == []


async def test_event_loop_runs_between_slices_of_thousands_of_messages(peer):
    await peer.subscribed_to_all()
    for number in range(5_000):
        peer.xpub.send(ROOM + b"%d" % number)
    most, before = 0, 0
    while len(peer.messages) < 5_000:
        await asyncio.sleep(0)
        most, before = max(most, len(peer.messages) - before), len(peer.messages)
    # One turn may deliver both a slice of the backlog and one of a new read.
    assert most <= 2 * 256
    assert [body for _, body in peer.messages] == [b"%d" % number for number in range(5_000)]


async def test_subscription_made_twice_must_be_revoked_twice(peer):
    for _ in range(2):
        peer.subscriber.subscribe(ROOM)
    peer.subscriber.unsubscribe(ROOM)
    peer.subscriber.subscribe(b"zmqio/a/\0")
    assert sorted(await peer.subscriptions(2)) == [b"\x01zmqio/a/\0", b"\x01" + ROOM]
    peer.subscriber.unsubscribe(ROOM)
    assert await peer.subscriptions(1) == [b"\x00" + ROOM]
    assert peer.subscriber.topic_bytes == len(b"zmqio/a/\0")


async def test_five_thousand_subscriptions_all_arrive(peer):
    for number in range(5_000):
        peer.subscriber.subscribe(b"zmqio/r//\0room-%d\0" % number)
    frames = await peer.subscriptions(5_000)
    assert sum(len(frame) - 1 for frame in frames) == peer.subscriber.topic_bytes


async def test_subscriptions_that_wait_for_their_turn_are_sent_in_order(peer):
    topics = await peer.wait_for_turns()
    assert peer.subscriber.is_unsent(topics[-1])
    peer.subscriber.unsubscribe(topics[-1])
    assert await peer.subscriptions(201) == [*(b"\x01" + topic for topic in topics), b"\x00" + topics[-1]]
    assert not peer.subscriber.is_unsent(topics[-1])


async def test_subscriptions_that_wait_are_sent_once_on_a_new_connection(peer):
    topics = await peer.wait_for_turns()
    peer.subscriber.restart()
    frames: list[bytes] = []

    def sent_again() -> bool:
        while peer.xpub.poll(0):
            frames.append(peer.xpub.recv())
        return frames[-1:] == [b"\x01" + topics[-1]]

    await wait_until(sent_again, "the last subscription, on the new connection")
    # The XPUB may see the new subscriptions before or after the end of the old connection.
    assert set(frames) >= {b"\x01" + topic for topic in topics}
    assert frames.count(b"\x01" + topics[-1]) == 1


async def test_nothing_is_sent_after_close(peer):
    await peer.subscribed_to_all()
    peer.subscriber.set_limit(30)
    for number in range(5):
        peer.subscriber.subscribe(b"zmqio/r//\0room-%d\0" % number)
    await asyncio.sleep(0)
    assert peer.subscriber.is_unsent(b"zmqio/r//\0room-4\0")
    peer.subscriber.close()
    assert not peer.subscriber.is_unsent(b"zmqio/r//\0room-4\0")


async def test_new_connection_subscribes_to_rooms_after_the_inbox_and_before_the_sync_topic():
    peer = Peer()
    ordered = [b"zmqio/a/\0", b"zmqio/u/0123\0", b"zmqio/r//\0room-1\0", b"\xffsync-0123456789abcdef"]
    for topic in reversed(ordered):
        peer.subscriber.subscribe(topic)  # in the first turn of the event loop, before it is connected
    assert await peer.subscriptions(4) == [b"\x01" + topic for topic in ordered]
    peer.close()


async def test_restart_sends_every_subscription_again_without_reporting_a_loss(peer):
    await peer.subscribed_to_all()
    await wait_until(lambda: peer.changes == ["up"], "up")
    peer.subscriber.restart()
    await wait_until(lambda: peer.changes == ["up", "up"], "up again")

    def arrived() -> bool:
        # The XPUB may see the new subscription before or after the end of the old connection.
        peer.xpub.poll(0)
        peer.xpub.send(ROOM + b"x")
        return bool(peer.messages)

    await wait_until(arrived, "a message")


async def test_closed_subscriber_delivers_nothing(peer):
    await peer.subscribed_to_all()
    peer.xpub.send(ROOM + b"x")
    peer.subscriber.close()
    peer.subscriber.close()
    await asyncio.sleep(0)
    assert peer.messages == []


async def test_overrun_is_reported_before_the_messages_after_it_are_delivered(peer):
    await peer.subscribed_to_all()
    await peer.watch()
    peer.send_all(b"%d" % number for number in range(2 * OVERRUN_MESSAGES + 300))
    await wait_until(lambda: len(peer.messages) == 2 * OVERRUN_MESSAGES + 300, "all messages")
    assert peer.overruns
    assert all(delivered >= OVERRUN_MESSAGES - 256 for delivered in peer.overruns[:1])
    assert all(later - earlier >= OVERRUN_MESSAGES - 256 for earlier, later in itertools.pairwise(peer.overruns))


async def test_small_reads_in_between_do_not_hide_an_overrun(peer, monkeypatch):
    """A node that reads exactly as fast as the broker sends has small reads from time to time."""
    monkeypatch.setattr(subscriber, "CAUGHT_UP_S", 1e6)
    await peer.subscribed_to_all()
    await peer.watch()
    for begin in range(0, OVERRUN_MESSAGES + 1_000, 1_000):
        peer.send_all(b"%d" % number + bytes(100) for number in range(begin, begin + 1_000))
        await wait_until(lambda end=begin + 1_000: len(peer.messages) == end, "this part")
        peer.send_all([b"small"])
        await wait_until(lambda: peer.messages[-1][1] == b"small", "a small message")
        peer.messages.pop()
    assert len(peer.overruns) == 1


async def test_as_many_messages_with_pauses_are_no_overrun(peer):
    await peer.subscribed_to_all()
    for begin in range(0, OVERRUN_MESSAGES + 1_000, 500):
        for number in range(begin, begin + 500):
            peer.xpub.send(ROOM + b"%d" % number)
        await wait_until(lambda end=begin + 500: len(peer.messages) == end, "this part")
    assert peer.overruns == []


async def test_loss_is_reported_before_messages_of_the_next_connection_are_delivered(peer):
    await peer.subscribed_to_all()
    await wait_until(lambda: peer.changes == ["up"], "up")
    endpoint = peer.xpub.getsockopt(zmq.LAST_ENDPOINT)
    order = []
    peer.on_message = lambda topic, body: order.append((int(body), peer.changes.count("down")))
    for restart in range(1, 6):
        peer.xpub.close(linger=0)
        peer.xpub = peer.context.socket(zmq.XPUB)
        await wait_until(lambda: _try_bind(peer.xpub, endpoint), "the port is free again")
        assert await peer.subscriptions(1) == [b"\x01"]
        peer.xpub.send(ROOM + b"%d" % restart)
        await wait_until(lambda count=restart: len(order) == count, "the message")
    assert order == [(restart, restart) for restart in range(1, 6)]


def _try_bind(socket, endpoint):
    try:
        socket.bind(endpoint)
    except zmq.ZMQError:
        return False
    return True
