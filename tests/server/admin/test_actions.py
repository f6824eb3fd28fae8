"""Actions of a page: on sockets of every node, and what is refused."""

import re
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.admin_nodes import USER, FakeClient, admin_nodes
from tests.support.timing import wait_until
from zmqio.server.server import Server

DEVELOPMENT = {"mode": "development"}


def rooms_of(io: Server, client: FakeClient) -> set[str]:
    sockets = io.of(client.namespace).sockets
    return {room for sid, socket in sockets.items() if sid == client.sid for room in socket.rooms} - {client.sid}


async def test_join_and_leave_of_one_socket_of_another_node_and_of_all() -> None:
    async with admin_nodes(2, **DEVELOPMENT) as (first, second):
        page = await FakeClient(first, "/admin", USER).connect()
        here, there = await FakeClient(first).connect(), await FakeClient(second).connect()
        with capture_logs() as logs:
            page.emit("join", "/", "one", there.sid)
            await wait_until(lambda: rooms_of(second, there) == {"one"}, "the join")
        assert rooms_of(first, here) == set()
        facts = {"action": "join", "namespace": "/", "to": there.sid, "address": "127.0.0.1"}
        assert any(line["event"] == "admin_action_applied" and facts.items() <= line.items() for line in logs)
        page.emit("join", "/", "all", None)
        await wait_until(lambda: "all" in rooms_of(second, there) & rooms_of(first, here), "all in the room")
        page.emit("leave", "/", "all")
        await wait_until(lambda: (rooms_of(first, here), rooms_of(second, there)) == (set(), {"one"}), "leave")


async def test_emit_reaches_a_room_or_one_socket_on_every_node() -> None:
    async with admin_nodes(2, **DEVELOPMENT) as (first, second):
        page = await FakeClient(first, "/admin", USER).connect()
        here, there = await FakeClient(first).connect(), await FakeClient(second).connect()
        page.emit("emit", "/", there.sid, "for one", 1)
        page.emit("emit", "/", None, "for all", {"a": [2]})
        assert await here.wait_for("for all") == [{"a": [2]}]
        assert await there.wait_for("for all") == [{"a": [2]}]
        assert there.events("for one") == [["for one", 1]]
        assert here.events("for one") == []


@pytest.mark.parametrize("close", [False, True])
async def test_disconnect_of_a_socket_or_its_connection_on_another_node(close: bool) -> None:
    async with admin_nodes(2, **DEVELOPMENT) as (first, second):
        page = await FakeClient(first, "/admin", USER).connect()
        here, there = await FakeClient(first).connect(), await FakeClient(second).connect()
        page.emit("_disconnect", "/", close, there.sid)
        await wait_until(lambda: there.disconnected, "the disconnect")
        await wait_until(lambda: (there.websocket.close_code is not None) == close, "the end of the connection")
        assert not here.disconnected


async def test_namespace_that_only_another_node_has_is_reached_and_not_created_here() -> None:
    async with admin_nodes(2, **DEVELOPMENT) as (first, second):
        for io in (first, second):
            io.of(re.compile("^/room-"))
        client = await FakeClient(second, "/room-7").connect()
        page = await FakeClient(first, "/admin", USER).connect()
        page.emit("join", "/room-7", "lobby", client.sid)
        page.emit("join", "/never seen", "lobby", None)
        await wait_until(lambda: rooms_of(second, client) == {"lobby"}, "the join")
        assert {"/room-7", "/never seen"}.isdisjoint(first._lifecycle.namespaces)


@pytest.mark.parametrize(
    "event",
    [
        ("join", 7, "room", None),
        ("join", "/", ["room", 7], None),
        ("join", "/", "nul\0", None),
        ("join", "/", "room", {"a": 1}),
        ("emit", "/", None, "connect"),
        ("emit", "/", None, 7),
        ("leave", "/", None, None),
    ],
)
async def test_values_that_make_no_sense_are_refused_with_the_reason(event: tuple[Any, ...]) -> None:
    async with admin_nodes(1, **DEVELOPMENT) as (io,):
        client = await FakeClient(io).connect()
        page = await FakeClient(io, "/admin", USER).connect()
        with capture_logs() as logs:
            page.emit(*event)
            page.emit("join", "/", "later", None)
            await wait_until(lambda: rooms_of(io, client) == {"later"}, "the next action")
        (line,) = [line for line in logs if line["event"] == "admin_action_refused"]
        assert line["error"]


async def test_readonly_page_changes_nothing() -> None:
    async with admin_nodes(1, readonly=True, **DEVELOPMENT) as (io,):
        client = await FakeClient(io).connect()
        page = await FakeClient(io, "/admin", USER).connect()
        for event in (("join", "/", "room", None), ("_disconnect", "/", True, None), ("emit", "/", None, "x")):
            page.emit(*event)
        await page.wait_for("server_stats", 2)
        assert (rooms_of(io, client), client.disconnected, client.events()) == (set(), False, [])
