"""Tests of `zmqio.zeromq.subscriber`."""

import asyncio
import itertools

import pytest
import zmq

from tests.support.timing import wait_until
from zmqio.zeromq import subscriber
from zmqio.zeromq.connection import ZmtpConnectionEvents
from zmqio.zeromq.subscriber import BEHIND_MESSAGES, Subscriber

ROOM = b"zmqio/r//\0room-1\0"


class Peer:
    """A bound XPUB and a subscriber that is connected to it."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self.xpub = self.context.socket(zmq.XPUB)
        self.xpub.setsockopt(zmq.SNDHWM, 0)
        port = self.xpub.bind_to_random_port("tcp://127.0.0.1")
        self.messages, self.syncs, self.rubbish, self.changes, self.behind = [], [], [], [], []
        self.on_message = lambda topic, body: self.messages.append((topic, body))
        self.subscriber = Subscriber(
            asyncio.get_running_loop(),
            f"tcp://127.0.0.1:{port}",
            on_message=self.handed_on,
            on_sync=self.syncs.append,
            on_rubbish=self.rubbish.append,
            on_behind=lambda: self.behind.append(len(self.messages)),
            connection=ZmtpConnectionEvents(
                lambda: self.changes.append("up"), lambda _: self.changes.append("down"), lambda _: None
            ),
        )

    def handed_on(self, topic: bytes, body: bytes) -> None:
        """Keep a message; a test may put something else in place of `on_message`."""
        self.on_message(topic, body)

    async def subscriptions(self, count: int) -> list[bytes]:
        """The next `count` subscription frames that reach the broker's side."""
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


async def test_rubbish_is_told_and_what_follows_still_comes(peer):
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
    assert len(peer.rubbish) == 5


async def test_acknowledgements_are_kept_apart_from_messages(peer):
    await peer.subscribed_to_all()
    peer.xpub.send(b"\xffsync-anything")
    await wait_until(lambda: peer.syncs, "an acknowledgement")
    assert peer.syncs == [b"\xffsync-anything"]
    assert peer.messages == []


async def test_loop_gets_its_turn_while_thousands_of_messages_wait(peer):
    await peer.subscribed_to_all()
    for number in range(5_000):
        peer.xpub.send(ROOM + b"%d" % number)
    most, before = 0, 0
    while len(peer.messages) < 5_000:
        await asyncio.sleep(0)
        most, before = max(most, len(peer.messages) - before), len(peer.messages)
    # One turn may hold both the drain that was due and one for the descriptor.
    assert most <= 2 * 256
    assert [body for _, body in peer.messages] == [b"%d" % number for number in range(5_000)]


async def test_subscription_made_twice_is_taken_back_twice(peer):
    for _ in range(2):
        peer.subscriber.subscribe(ROOM)
    peer.subscriber.unsubscribe(ROOM)
    peer.subscriber.subscribe(b"zmqio/a/\0")
    assert sorted(await peer.subscriptions(2)) == [b"\x01zmqio/a/\0", b"\x01" + ROOM]
    peer.subscriber.unsubscribe(ROOM)
    assert await peer.subscriptions(1) == [b"\x00" + ROOM]


async def test_five_thousand_subscriptions_all_arrive(peer):
    for number in range(5_000):
        peer.subscriber.subscribe(b"zmqio/r//\0room-%d\0" % number)
    assert len(await peer.subscriptions(5_000)) == 5_000


async def test_reconnecting_by_hand_sends_every_subscription_again_without_reporting_a_loss(peer):
    await peer.subscribed_to_all()
    await wait_until(lambda: peer.changes == ["up"], "up")
    peer.subscriber.reconnect()
    await wait_until(lambda: peer.changes == ["up", "up"], "up again")

    def arrived() -> bool:
        # The subscription may arrive before or after the end of the old connection takes the old one away.
        peer.xpub.poll(0)
        peer.xpub.send(ROOM + b"x")
        return bool(peer.messages)

    await wait_until(arrived, "a message")


async def test_closed_subscriber_says_nothing_more(peer):
    await peer.subscribed_to_all()
    peer.xpub.send(ROOM + b"x")
    peer.subscriber.close()
    peer.subscriber.close()
    await asyncio.sleep(0)
    assert peer.messages == []


async def test_thousands_of_messages_without_a_pause_are_told_before_the_next_ones_are_handed_on(peer):
    await peer.subscribed_to_all()
    for number in range(2 * BEHIND_MESSAGES + 300):
        peer.xpub.send(ROOM + b"%d" % number)
    # All of it waits, so that libzmq is never asked in vain.
    await wait_until(lambda: len(peer.messages) == 2 * BEHIND_MESSAGES + 300, "all messages")
    assert peer.behind
    assert all(handed_on >= BEHIND_MESSAGES - 256 for handed_on in peer.behind[:1])
    assert all(later - earlier >= BEHIND_MESSAGES - 256 for earlier, later in itertools.pairwise(peer.behind))


async def test_little_reads_in_between_do_not_hide_that_a_node_is_behind(peer, monkeypatch):
    """One that catches up as fast as the broker sends reads little from time to time."""
    monkeypatch.setattr(subscriber, "CAUGHT_UP_S", 1e6)
    await peer.subscribed_to_all()
    for begin in range(0, BEHIND_MESSAGES + 1_000, 1_000):
        for number in range(begin, begin + 1_000):
            peer.xpub.send(ROOM + b"%d" % number + bytes(100))
        await wait_until(lambda end=begin + 1_000: len(peer.messages) == end, "this part")
        peer.xpub.send(ROOM + b"little")
        await wait_until(lambda: peer.messages[-1][1] == b"little", "a little one")
        peer.messages.pop()
    assert len(peer.behind) == 1


async def test_as_many_messages_with_pauses_are_not_told(peer):
    await peer.subscribed_to_all()
    for begin in range(0, BEHIND_MESSAGES + 1_000, 500):
        for number in range(begin, begin + 500):
            peer.xpub.send(ROOM + b"%d" % number)
        await wait_until(lambda end=begin + 500: len(peer.messages) == end, "this part")
    assert peer.behind == []


async def test_disconnect_is_acted_on_before_what_came_by_the_next_connection_is_handed_on(peer):
    await peer.subscribed_to_all()
    await wait_until(lambda: peer.changes == ["up"], "up")
    endpoint = peer.xpub.getsockopt(zmq.LAST_ENDPOINT)
    order = []
    peer.on_message = lambda topic, body: order.append((int(body), peer.changes.count("down")))
    for restart in range(1, 6):
        peer.xpub.close(linger=0)
        peer.xpub = peer.context.socket(zmq.XPUB)
        await wait_until(lambda: _bound(peer.xpub, endpoint), "the port is free again")
        assert await peer.subscriptions(1) == [b"\x01"]
        peer.xpub.send(ROOM + b"%d" % restart)
        await wait_until(lambda count=restart: len(order) == count, "the message")
    assert order == [(restart, restart) for restart in range(1, 6)]


def _bound(socket, endpoint):
    try:
        socket.bind(endpoint)
    except zmq.ZMQError:
        return False
    return True
