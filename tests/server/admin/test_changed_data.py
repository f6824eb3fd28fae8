"""`ChangedData`: which sockets' data has changed since a page was shown it."""

from tests.support.fake_engine import Harness
from zmqio.server.admin.changed_data import LOOKS, MAX_ACTIVE, ChangedData
from zmqio.server.socket import Socket


async def sockets(count: int) -> list[Socket]:
    harness = Harness()
    for _ in range(count):
        await harness.connected()
    return list(harness.of("/").sockets.values())


async def test_only_changes_of_active_sockets_are_found() -> None:
    data = ChangedData()
    active, silent = await sockets(2)
    for socket in (active, silent):
        data.note_shown(socket, {})
        socket.data["name"] = "Ada"
    assert data.take() == []
    data.note_event(active)
    assert data.take() == [(active, {"name": "Ada"})]


async def test_change_after_the_first_report_is_found_at_the_next_and_each_is_told_once() -> None:
    data = ChangedData()
    (socket,) = await sockets(1)
    data.note_shown(socket, {})
    data.note_event(socket)
    assert data.take() == []
    socket.data["late"] = True
    assert [data.take() for _ in range(LOOKS)] == [[(socket, {"late": True})], []]


async def test_what_was_shown_before_is_unknown_and_counts_as_changed_once() -> None:
    data = ChangedData()
    (socket,) = await sockets(1)
    for expected in ([(socket, {})], []):
        data.note_event(socket)
        assert data.take() == expected


async def test_number_of_sockets_per_report_is_limited() -> None:
    data = ChangedData()
    for socket in await sockets(MAX_ACTIVE + 5):
        data.note_event(socket)
    assert len(data.take()) == MAX_ACTIVE


async def test_nothing_is_kept_when_no_page_is_open() -> None:
    data = ChangedData()
    (socket,) = await sockets(1)
    data.note_event(socket)
    data.forget()
    assert data.take() == []


async def test_disconnected_sockets_are_not_shown() -> None:
    data = ChangedData()
    (socket,) = await sockets(1)
    data.note_event(socket)
    await socket.disconnect()
    assert data.take() == []
