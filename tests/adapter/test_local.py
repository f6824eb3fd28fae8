import asyncio

import pytest

from tests.support.fake_sockets import FakeSockets, ackable, event
from zmqio.adapter.base import DONE, AdapterFactory, Identity, Target
from zmqio.adapter.local import LocalAdapter, LocalAdapterFactory
from zmqio.exceptions import RequestTimeoutError, TopicError
from zmqio.ids import NodeId, NodeTag, Sid

A, B, C = Sid("a"), Sid("b"), Sid("c")
EVERYBODY = Target()


def to(*rooms: str, except_: tuple[str, ...] = ()) -> Target:
    return Target(frozenset(rooms) or None, frozenset(except_))


@pytest.fixture
def sockets() -> FakeSockets:
    return FakeSockets()


@pytest.fixture
def adapter(sockets: FakeSockets) -> LocalAdapter:
    sockets.adapter = adapter = LocalAdapter("/", sockets)
    for sid, *rooms in ((A, "r"), (B, "r", "s"), (C, "s")):
        adapter.add(Sid(sid), (sid, *rooms))
    sockets.room_events.clear()
    return adapter


async def test_join_completes_at_once_without_a_task(adapter: LocalAdapter) -> None:
    assert adapter.add(A, ["new"]) is DONE
    assert "new" in adapter.rooms_of(A)


async def test_room_events_are_those_of_javascript(sockets: FakeSockets) -> None:
    adapter = LocalAdapter("/", sockets)
    adapter.add(A, ["a", "r"])
    adapter.add(B, ["r"])
    adapter.remove(A, "r")
    adapter.remove(A, "never in")
    adapter.remove_all(B)
    assert sockets.room_events == [
        ("create-room", "a", None),
        ("join-room", "a", A),
        ("create-room", "r", None),
        ("join-room", "r", A),
        ("join-room", "r", B),
        ("leave-room", "r", A),
        ("leave-room", "r", B),
        ("delete-room", "r", None),
    ]


async def test_packet_reaches_each_chosen_socket_once(adapter: LocalAdapter, sockets: FakeSockets) -> None:
    await adapter.broadcast(event("x"), to("r", "s", except_=("a",)))
    assert dict(sockets.received) == {B: [event("x")], C: [event("x")]}


async def test_target_without_sockets_delivers_nothing(adapter: LocalAdapter, sockets: FakeSockets) -> None:
    await adapter.broadcast(event("x"), to("nobody"))
    assert sockets.largest_delivery == 0


async def test_socket_that_leaves_during_a_delivery_does_not_disturb_it(adapter: LocalAdapter) -> None:
    class Leaving(FakeSockets):
        def deliver(self, sids, frames, *, volatile=False):  # type: ignore[no-untyped-def]
            for sid in sids:
                self.received[sid].append(frames)
                self.adapter.remove_all(sid)

    sockets = Leaving()
    sockets.adapter = adapter = LocalAdapter("/", sockets)
    for sid in (A, B, C):
        adapter.add(sid, (sid, "r"))
    await adapter.broadcast(event("x"), to("r"))
    assert set(sockets.received) == {A, B, C}


async def test_acknowledgements_are_collected(adapter: LocalAdapter, sockets: FakeSockets) -> None:
    sockets.answers = {A: [1], B: [2], C: [3]}
    assert await adapter.broadcast_with_ack(ackable("x"), to("r"), 20) == [[1], [2]]


async def test_acknowledgements_of_no_sockets_are_empty(adapter: LocalAdapter) -> None:
    assert await adapter.broadcast_with_ack(ackable("x"), to("nobody"), 20) == []


async def test_timeout_error_holds_the_acknowledgements_that_arrived(
    adapter: LocalAdapter, sockets: FakeSockets
) -> None:
    sockets.answers = {B: [2]}
    with pytest.raises(RequestTimeoutError, match="received 1 of 2 acknowledgements") as caught:
        await adapter.broadcast_with_ack(ackable("x"), to("r"), 0.01)
    assert (caught.value.responses, caught.value.expected, caught.value.missing) == ([[2]], 2, [])


async def test_sockets_are_described(adapter: LocalAdapter, sockets: FakeSockets) -> None:
    sockets.data[A] = {"name": "Ada"}
    found = await adapter.fetch_sockets(to("r"), 20)
    assert [(one.sid, one.rooms, one.data) for one in found] == [
        (A, ("a", "r"), {"name": "Ada"}),
        (B, ("b", "r", "s"), {}),
    ]


async def test_sockets_are_moved_and_disconnected(adapter: LocalAdapter, sockets: FakeSockets) -> None:
    await adapter.add_sockets(to("r"), ["new"])
    await adapter.remove_sockets(to("s"), ["s", "new"])
    assert [set(adapter.rooms_of(sid)) for sid in (A, B, C)] == [{"a", "r", "new"}, {"b", "r"}, {"c"}]
    await adapter.disconnect_sockets(EVERYBODY, close=True)
    assert sockets.disconnected == [(A, True), (B, True), (C, True)]
    assert await adapter.rooms(20) == set()


async def test_operations_on_other_nodes_do_nothing(adapter: LocalAdapter, sockets: FakeSockets) -> None:
    await adapter.open()
    await adapter.server_side_emit(["x"])
    assert await adapter.server_side_emit_with_ack(["x"], 20) == []
    assert sockets.server_side == []
    assert adapter.server_count() == 1
    assert await adapter.rooms(20) == {"a", "b", "c", "r", "s"}
    await adapter.close()


async def test_invalid_room_name_changes_nothing(adapter: LocalAdapter, sockets: FakeSockets) -> None:
    with pytest.raises(TopicError):
        adapter.add(A, ["good", "\0"])
    with pytest.raises(TopicError):
        await adapter.add_sockets(EVERYBODY, ["good", "\0"])
    assert sockets.room_events == []


async def test_factory_makes_the_given_adapter(sockets: FakeSockets) -> None:
    class Mine(LocalAdapter):
        pass

    factory = LocalAdapterFactory(Mine)
    assert isinstance(factory, AdapterFactory)
    await factory.start(Identity(NodeId("n"), NodeTag("tagg")), sockets)  # type: ignore[arg-type]
    assert isinstance(factory("/x", sockets), Mine)
    assert factory.health().ready
    factory.close_sync()
    await factory.close()


MANY = 1_300
"""More sockets than join, leave or are disconnected in one iteration of the event loop."""


def crowd() -> tuple[LocalAdapter, FakeSockets]:
    sockets = FakeSockets()
    adapter = sockets.adapter = LocalAdapter("/", sockets)
    for number in range(MANY):
        adapter.add(Sid(str(number)), ("crowd",))
    return adapter, sockets


async def test_broadcast_right_after_a_large_join_or_leave_sees_its_result() -> None:
    adapter, sockets = crowd()
    everybody, new = Target(), Target(frozenset({"new"}))
    await asyncio.gather(
        adapter.add_sockets(everybody, ["new"]),
        adapter.broadcast(event("joined"), new),
        adapter.remove_sockets(everybody, ["new"]),
        adapter.broadcast(event("left"), new),
    )
    assert [sockets.received[str(number)] for number in range(MANY)] == [[event("joined")]] * MANY


async def test_request_right_after_a_large_join_sees_its_result() -> None:
    adapter, _ = crowd()
    _, found, rooms = await asyncio.gather(
        adapter.add_sockets(Target(), ["new"]),
        adapter.fetch_sockets(Target(frozenset({"new"})), 1),
        adapter.rooms(1),
    )
    assert len(found) == MANY
    assert rooms == {"crowd", "new"}


async def test_socket_that_leaves_during_a_large_join_stays_out() -> None:
    adapter, _ = crowd()
    first, last, gone = Sid("0"), Sid(str(MANY - 1)), Sid(str(MANY - 2))
    joining = asyncio.create_task(adapter.add_sockets(Target(), ["new"]))
    await asyncio.sleep(0)
    adapter.remove(first, "new")
    adapter.remove(last, "new")
    adapter.remove_all(gone)
    await joining
    assert len(adapter.sids(Target(frozenset({"new"})))) == MANY - 3
    assert set(adapter.rooms_of(first)) == set(adapter.rooms_of(last)) == {"crowd"}
    assert set(adapter.rooms_of(gone)) == set()


async def test_all_sockets_of_a_large_room_are_disconnected() -> None:
    adapter, sockets = crowd()
    await adapter.disconnect_sockets(Target(), close=True)
    assert len(sockets.disconnected) == MANY
    assert not adapter.sids(Target())


async def test_join_of_a_socket_that_waits_to_be_disconnected_leaves_no_ghost() -> None:
    adapter, sockets = crowd()
    disconnecting = asyncio.create_task(adapter.disconnect_sockets(Target(), close=False))
    await asyncio.sleep(0)
    waiting = next(iter(adapter.sids(Target())))
    await adapter.add(waiting, ["lobby"])
    await disconnecting
    assert not adapter.sids(to("lobby"))
    assert not adapter.sids(Target())
    assert len(sockets.disconnected) == MANY
