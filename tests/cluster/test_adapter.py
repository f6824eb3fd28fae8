"""The exact topics and messages that a cluster adapter publishes and subscribes to.

Its behaviour is tested in `tests/contracts`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.support.fake_sockets import FakeSockets, ackable, event
from tests.support.node_harness import ALL, ME, OPTIONS, PEER, NodeHarness
from tests.support.timing import wait_until
from zmqio.adapter.base import DONE, Target
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.config import BusOptions
from zmqio.exceptions import BusOverflowError, BusUnavailableError, RequestTimeoutError
from zmqio.ids import NodeId, Sid
from zmqio.protocol import messages as m
from zmqio.protocol.messages import Message

OWN, OTHER = Sid("tag1xxxxxxxxxxxxxxxx"), Sid("tag1yyyyyyyyyyyyyyyy")
FOREIGN = Sid("tag2xxxxxxxxxxxxxxxx")
EVERYBODY = Target()
NAMESPACE = b"zmqio/n//\0"


def to(*rooms: str, except_: tuple[str, ...] = (), local: bool = False) -> Target:
    return Target(frozenset(rooms) or None, frozenset(except_), local)


def room(name: str) -> bytes:
    return f"zmqio/r//\0{name}\0".encode()


class Cluster:
    """One adapter on one node; the test plays its peers."""

    def __init__(self, harness: NodeHarness) -> None:
        self.harness = harness
        self.sockets = FakeSockets(ME)
        self.adapter = self.sockets.adapter = ClusterAdapter("/", self.sockets, lambda: harness.node)

    def published(self) -> list[tuple[bytes, Message]]:
        """The messages that the adapter published, without heartbeats."""
        return [
            (topic, envelope.message)
            for topic, envelope in self.harness.sent(object)  # type: ignore[arg-type]
            if envelope.id.previous is not None
        ]

    def subscriptions(self) -> set[bytes]:
        """The topics subscribed to since the node started."""
        of_the_node = {ALL, b"zmqio/s/tag1", b"zmqio/u/tag1AAAAAAAAAAA\0"}
        return set(self.harness.bus.subscriptions) - of_the_node

    async def all_received(self) -> None:
        """Wait until everything sent so far was received."""
        before = self.harness.node.diagnostics.counters["bus_message_malformed"]
        self.harness.network.inject(ALL, b"\xc1")
        await wait_until(
            lambda: self.harness.node.diagnostics.counters["bus_message_malformed"] > before, "the marker"
        )


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with running_cluster(OPTIONS) as running:
        yield running


@asynccontextmanager
async def running_cluster(options: BusOptions) -> AsyncIterator[Cluster]:
    """Run an adapter with one local socket."""
    cluster = Cluster(await NodeHarness(options=options).ready())
    await cluster.adapter.open()
    await cluster.adapter.add(OWN, (OWN,))
    yield cluster
    await cluster.adapter.close()
    await cluster.harness.node.close()


async def with_peer(cluster: Cluster, *sids: NodeId) -> None:
    for node_id in sids or (PEER,):
        cluster.harness.peer_heartbeat(node_id)
    await wait_until(lambda: cluster.adapter.server_count() == 1 + len(sids or (PEER,)), "the peer")


async def test_namespace_topic_is_subscribed_from_open_to_close() -> None:
    cluster = Cluster(await NodeHarness().ready())
    await cluster.adapter.open()
    assert cluster.subscriptions() == {NAMESPACE}
    await cluster.adapter.add(OWN, [OWN, "a"])
    await cluster.adapter.close()
    assert cluster.subscriptions() == set()
    await cluster.harness.node.close()


async def test_room_of_an_own_sid_needs_no_subscription_and_no_future(cluster: Cluster) -> None:
    assert cluster.adapter.add(OTHER, (OTHER,)) is DONE
    assert cluster.subscriptions() == {NAMESPACE}


async def test_first_member_subscribes_and_last_member_unsubscribes(cluster: Cluster) -> None:
    await cluster.adapter.add(OWN, ["a", "b"])
    assert cluster.adapter.add(OTHER, ["a"]) is DONE
    assert cluster.subscriptions() == {NAMESPACE, room("a"), room("b")}
    cluster.adapter.remove(OWN, "a")
    assert room("a") in cluster.subscriptions()
    cluster.adapter.remove_all(OTHER)
    cluster.adapter.remove_all(OWN)
    assert cluster.subscriptions() == {NAMESPACE}


async def test_room_named_as_a_foreign_session_is_subscribed_to_on_its_topic(cluster: Cluster) -> None:
    await cluster.adapter.add(OWN, [FOREIGN])
    assert cluster.subscriptions() == {NAMESPACE, b"zmqio/s/tag2xxxxxxxxxxxxxxxx\0/\0"}


@pytest.mark.parametrize(
    ("target", "topic"),
    [
        (EVERYBODY, NAMESPACE),
        (to("a"), room("a")),
        (to("a", "b"), NAMESPACE),
        (to(FOREIGN), b"zmqio/s/tag2xxxxxxxxxxxxxxxx\0/\0"),
        (to(OWN), b"zmqio/s/tag1xxxxxxxxxxxxxxxx\0/\0"),
        (to(except_=("a",)), NAMESPACE),
    ],
)
async def test_each_operation_is_one_publish_to_one_topic(cluster: Cluster, target: Target, topic: bytes) -> None:
    await cluster.adapter.broadcast(event("x"), target)
    await cluster.adapter.add_sockets(target, ["new"])
    await cluster.adapter.remove_sockets(target, ["new"])
    await cluster.adapter.disconnect_sockets(target, close=True)
    published = cluster.published()
    assert [topic for topic, _ in published] == [topic] * 4
    kinds = [type(message) for _, message in published]
    assert kinds == [m.BroadcastMessage, m.JoinRooms, m.LeaveRooms, m.DisconnectSockets]
    for _, message in published:
        assert set(message.rooms) == (target.rooms or set())  # type: ignore[union-attr]
        assert set(message.except_) == target.except_  # type: ignore[union-attr]


async def test_messages_after_a_join_of_remote_sockets_go_to_the_namespace_topic(cluster: Cluster) -> None:
    """Their nodes subscribe to the room's own topic only when they have received the join."""
    await cluster.adapter.add_sockets(to(FOREIGN), ["new", "other"])
    await cluster.adapter.broadcast(event("x"), to("new"))
    await cluster.adapter.disconnect_sockets(to("other"), close=False)
    await cluster.adapter.broadcast(event("x"), to("elsewhere"))
    assert [topic for topic, _ in cluster.published()][1:] == [NAMESPACE, NAMESPACE, room("elsewhere")]


async def test_local_operations_publish_nothing(cluster: Cluster) -> None:
    await with_peer(cluster)
    local = to(local=True)
    cluster.sockets.answers[OWN] = [1]
    await cluster.adapter.broadcast(event("x"), local)
    await cluster.adapter.add_sockets(local, ["new"])
    await cluster.adapter.remove_sockets(local, ["new"])
    assert await cluster.adapter.broadcast_with_ack(ackable("x"), local, 20) == [[1]]
    assert len(await cluster.adapter.fetch_sockets(local, 20)) == 1
    await cluster.adapter.disconnect_sockets(local, close=False)
    assert cluster.published() == []
    assert cluster.sockets.received[OWN][0] == event("x")


async def test_without_a_broker_local_sockets_are_served_and_messages_wait(cluster: Cluster) -> None:
    cluster.harness.network.cut(0)
    await cluster.adapter.broadcast(event("x"), EVERYBODY)
    await cluster.adapter.add_sockets(EVERYBODY, ["new"])
    assert cluster.sockets.received[OWN] == [event("x")]
    assert "new" in cluster.adapter.rooms_of(OWN)
    assert cluster.harness.node.diagnostics.counters["message_queued"] == 2
    assert cluster.harness.node.health().details["replay"]["ring_unsent_messages"] == 2


async def test_broadcasts_and_operations_without_room_take_effect_locally_and_only_operations_raise() -> None:
    """The buffer is full of messages that no broker has accepted. Refusals are logged with their count."""
    with capture_logs() as lines:
        async with running_cluster(replace(OPTIONS, replay_ring_bytes=1_000)) as cluster:
            cluster.harness.network.cut(0)
            for number in range(1_000):
                await cluster.adapter.broadcast(event(f"{number}"), EVERYBODY)
            assert cluster.sockets.received[OWN] == [event(f"{number}") for number in range(1_000)]
            counters = cluster.harness.node.diagnostics.counters
            assert counters["broadcasts_refused"] > 990
            assert counters["broadcasts_refused"] + counters["messages_published"] == 1_000
            with pytest.raises(BusOverflowError):
                await cluster.adapter.add_sockets(EVERYBODY, ["new"])
            assert "new" in cluster.adapter.rooms_of(OWN)
            with pytest.raises(BusOverflowError):
                await cluster.adapter.remove_sockets(EVERYBODY, ["new"])
            assert "new" not in cluster.adapter.rooms_of(OWN)
            await cluster.adapter.broadcast(event("own"), to(OWN))  # fully served here
            assert cluster.sockets.received[OWN][-1] == event("own")
            with pytest.raises(BusOverflowError):
                await cluster.adapter.disconnect_sockets(EVERYBODY, close=False)
            assert (OWN, False) in cluster.sockets.disconnected
    failures = [line for line in lines if line["event"] in ("publish_failed", "broadcasts_refused")]
    assert {line["event"] for line in failures} == {"publish_failed", "broadcasts_refused"}
    assert len(failures) <= 4
    assert not any("traceback" in line or "exc_info" in line for line in lines)


async def test_without_a_broker_a_volatile_broadcast_is_dropped_and_counted(cluster: Cluster) -> None:
    cluster.harness.network.cut(0)
    await cluster.adapter.broadcast(event("x"), Target(volatile=True))
    assert cluster.sockets.received[OWN] == [event("x")]
    assert cluster.harness.node.diagnostics.counters["volatile_bus_messages_dropped"] == 1
    assert cluster.harness.node.health().details["replay"]["ring_messages"] == 0


async def test_without_a_broker_an_own_session_is_served_without_an_error(cluster: Cluster) -> None:
    cluster.harness.network.cut(0)
    cluster.sockets.answers[OWN] = [1]
    await cluster.adapter.broadcast(event("x"), to(OWN))
    assert await cluster.adapter.broadcast_with_ack(ackable("x"), to(OWN), 20) == [[1]]
    assert [one.sid for one in await cluster.adapter.fetch_sockets(to(OWN), 20)] == [OWN]


async def test_without_a_broker_a_request_fails_at_once(cluster: Cluster) -> None:
    await with_peer(cluster)
    cluster.harness.network.cut(0)
    with pytest.raises(BusUnavailableError):
        await cluster.adapter.fetch_sockets(EVERYBODY, 20)
    with pytest.raises(BusUnavailableError):
        await cluster.adapter.broadcast_with_ack(ackable("x"), EVERYBODY, 20)


async def test_without_a_broker_a_join_takes_effect_locally(cluster: Cluster) -> None:
    cluster.harness.network.cut(0)
    await cluster.adapter.add(OWN, ["a"])
    assert room("a") in cluster.subscriptions()


async def test_requests_are_not_published_without_other_nodes(cluster: Cluster) -> None:
    assert [one.sid for one in await cluster.adapter.fetch_sockets(EVERYBODY, 20)] == [OWN]
    assert await cluster.adapter.rooms(20) == {OWN}
    assert await cluster.adapter.server_side_emit_with_ack(["x"], 20) == []
    assert cluster.published() == []


async def test_only_the_owner_of_a_session_is_asked(cluster: Cluster) -> None:
    await with_peer(cluster, PEER, NodeId("tag3CCCCCCCCCCC"))
    with pytest.raises(RequestTimeoutError) as caught:
        await cluster.adapter.fetch_sockets(to(FOREIGN), 0)
    assert caught.value.missing == [PEER]
    assert [topic for topic, _ in cluster.published()] == [b"zmqio/s/tag2xxxxxxxxxxxxxxxx\0/\0"]


async def test_timeout_error_includes_local_answers(cluster: Cluster) -> None:
    await with_peer(cluster)
    with pytest.raises(RequestTimeoutError) as caught:
        await cluster.adapter.fetch_sockets(EVERYBODY, 0)
    assert [one.sid for one in caught.value.responses] == [OWN]
    assert (caught.value.expected, caught.value.missing) == (2, [PEER])
    assert [topic for topic, _ in cluster.published()] == [ALL]


async def test_received_messages_are_never_published(cluster: Cluster) -> None:
    messages: Sequence[Message] = (
        m.BroadcastMessage("/", (), (), False, event("x")),
        m.JoinRooms("/", (), (), ("new",)),
        m.LeaveRooms("/", ("new",), (), ("new",)),
        m.ServerSideEmit("/", b"\x91\xa1x", None),
        m.DisconnectSockets("/", (), (), True),
    )
    for message in messages:
        cluster.harness.peer_sends(message, NAMESPACE)
    await cluster.all_received()
    assert cluster.sockets.received[OWN] == [event("x")]
    assert ("join-room", "new", OWN) in cluster.sockets.room_events
    assert ("leave-room", "new", OWN) in cluster.sockets.room_events
    assert cluster.sockets.server_side == [["x"]]
    assert cluster.sockets.disconnected == [(OWN, True)]
    assert cluster.published() == []


def request(**fields: object) -> bytes:
    return json.dumps(fields).encode()


async def test_publish_requests_apply_to_local_sockets_only(cluster: Cluster) -> None:
    await cluster.adapter.add(OTHER, (OTHER, "out"))
    inject = cluster.harness.network.inject
    inject(NAMESPACE, request(event="news", args=[1, {"a": 2}], **{"except": ["out"]}))
    inject(NAMESPACE, request(op="join", names=["a", "b"], rooms=[OWN]))
    inject(NAMESPACE, request(op="leave", names=["a"]))
    inject(NAMESPACE, request(op="disconnect", rooms=["out"], close=True))
    await cluster.all_received()
    assert dict(cluster.sockets.received) == {OWN: [('2["news", 1, {"a": 2}]',)]}
    assert set(cluster.adapter.rooms_of(OWN)) == {OWN, "b"}
    assert cluster.sockets.disconnected == [(OTHER, True)]
    assert cluster.published() == []


async def test_publish_request_with_an_id_applies_once(cluster: Cluster) -> None:
    for _ in range(3):
        cluster.harness.network.inject(NAMESPACE, request(event="news", id="7"))
    await cluster.all_received()
    assert len(cluster.sockets.received[OWN]) == 1


async def test_volatile_publish_request_is_delivered_as_volatile(cluster: Cluster) -> None:
    cluster.harness.network.inject(NAMESPACE, request(event="news", volatile=True))
    await cluster.all_received()
    assert len(cluster.sockets.volatile[OWN]) == 1


async def test_publish_request_that_cannot_be_encoded_is_counted(cluster: Cluster) -> None:
    cluster.harness.network.inject(NAMESPACE, request(event="cannot be encoded"))
    await cluster.all_received()
    assert cluster.harness.node.diagnostics.counters["publish_request_rejected"] == 1
    assert cluster.sockets.received == {}


async def test_messages_behind_a_large_join_from_the_bus_see_its_effect(cluster: Cluster) -> None:
    crowd = [Sid(f"tag1{number:016}") for number in range(1_300)]
    for sid in crowd:
        await cluster.adapter.add(sid, (sid, "crowd"))
    for message in (
        m.JoinRooms("/", ("crowd",), (), ("new",)),
        m.BroadcastMessage("/", ("new",), (), False, event("joined")),
        m.LeaveRooms("/", ("new",), (), ("new", "crowd")),
        m.BroadcastMessage("/", ("new",), (), False, event("left")),
        m.DisconnectSockets("/", (crowd[0],), (), True),
        m.FetchRooms(7, "/"),
    ):
        cluster.harness.peer_sends(message, NAMESPACE)
    answers = cluster.harness.sent
    await wait_until(lambda: answers(m.Response), "the answer to the last")
    assert all(cluster.sockets.received[sid] == [event("joined")] for sid in crowd)
    assert cluster.sockets.disconnected == [(crowd[0], True)]
    assert cluster.subscriptions() == {NAMESPACE}


async def test_large_operations_are_published_in_order(cluster: Cluster) -> None:
    crowd = [Sid(f"tag1{number:016}") for number in range(1_300)]
    for sid in crowd:
        await cluster.adapter.add(sid, (sid,))
    await asyncio.gather(
        cluster.adapter.add_sockets(EVERYBODY, ["new"]),
        cluster.adapter.broadcast(event("joined"), to("new")),
        cluster.adapter.remove_sockets(EVERYBODY, ["new"]),
        cluster.adapter.broadcast(event("left"), to("new")),
        cluster.adapter.disconnect_sockets(EVERYBODY, close=True),
    )
    kinds = [type(message) for _, message in cluster.published()]
    assert kinds == [m.JoinRooms, m.BroadcastMessage, m.LeaveRooms, m.BroadcastMessage, m.DisconnectSockets]
    assert all(cluster.sockets.received[sid] == [event("joined")] for sid in crowd)


async def test_room_with_a_long_name_works_without_a_subscription(cluster: Cluster) -> None:
    long = "x" * 900_000
    assert cluster.adapter.add(OTHER, [long]) is DONE
    assert cluster.subscriptions() == {NAMESPACE}
    await cluster.adapter.broadcast(event("news"), to(long))
    assert cluster.published() == [(NAMESPACE, m.BroadcastMessage("/", (long,), (), False, event("news")))]
    cluster.harness.network.inject(NAMESPACE, request(event="more", rooms=[long]))
    await cluster.all_received()
    assert len(cluster.sockets.received[OTHER]) == 2
    cluster.adapter.remove_all(OTHER)
    assert cluster.subscriptions() == {NAMESPACE}


async def test_rejoined_room_of_many_that_are_left_stays_subscribed(cluster: Cluster) -> None:
    names = [f"room {number}" for number in range(2_000)]
    await cluster.adapter.add(OWN, names)
    cluster.adapter.remove_all(OWN)
    await cluster.adapter.add(OTHER, ("room 1999",))
    await wait_until(lambda: cluster.subscriptions() == {NAMESPACE, room("room 1999")}, "the other rooms are left")
    cluster.adapter.remove_all(OTHER)
    assert cluster.subscriptions() == {NAMESPACE}
