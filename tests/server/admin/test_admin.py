"""`Admin` in production mode, over two servers: what a page receives, and what it costs when there is none."""

import re

import pytest

from tests.support.admin_nodes import USER, FakeClient, admin_nodes, cheap_hash
from tests.support.timing import wait_until
from zmqio.exceptions import ConfigError
from zmqio.server.server import Server


async def test_page_receives_the_configuration_and_statistics_of_every_node() -> None:
    async with admin_nodes(2, server_id="web") as (first, second):
        await FakeClient(second, "/chat").connect()
        page = await FakeClient(first, "/admin", USER).connect()
        assert await page.wait_for("config") == [{"supportedFeatures": ["AGGREGATED_EVENTS"]}]
        both = {f"web#{first.node_id}", f"web#{second.node_id}"}
        await wait_until(lambda: {stats["serverId"] for _, stats in page.events("server_stats")} == both, "both")
        found = {stats["serverId"]: stats for _, stats in page.events("server_stats")}
        there = found[f"web#{second.node_id}"]
        assert (there["clientsCount"], there["pollingClientsCount"]) == (1, 0)
        assert {"name": "/chat", "socketsCount": 1} in there["namespaces"]
        assert there["uptime"] >= 0 and there["pid"] and there["hostname"]


async def test_production_mode_sends_no_sockets_and_no_events_and_obeys_nothing() -> None:
    async with admin_nodes(2) as (first, second):
        client = await FakeClient(second).connect()
        page = await FakeClient(first, "/admin", USER).connect()
        page.emit("_disconnect", "/", False, client.sid)
        page.emit("join", "/", "room", client.sid)
        await FakeClient(second).connect()
        client.emit("hello")
        await page.wait_for("server_stats", 2)
        await page.wait_for("server_stats", 4)  # of two seconds later
        assert {event for event, *_ in page.events()} <= {"config", "session", "server_stats"}
        assert not client.disconnected
        assert second.of("/").sockets[client.sid].rooms == {client.sid}  # type: ignore[index]


async def test_nothing_is_sent_while_no_page_is_open() -> None:
    async with admin_nodes(1) as (io,):
        sent: list[str] = []
        io.of("/admin").emit = lambda *args: sent.append(args)  # type: ignore[assignment]
        admin = io._admin
        assert admin is not None
        assert not admin._watch.active
        await FakeClient(io).connect()
        assert sent == []


async def test_node_stops_reporting_when_the_server_closes() -> None:
    async with admin_nodes(1) as (io,):
        await FakeClient(io, "/admin", USER).connect()
        admin = io._admin
        assert admin is not None
        await wait_until(lambda: admin._watch.active, "the watch")
        await io.close()
        assert not admin._watch.active


def test_namespace_of_the_application_is_refused() -> None:
    used, dynamic = Server(adapter=None), Server(adapter=None)
    used.of("/admin").on("x", lambda socket: None)
    dynamic.of(re.compile("^/a"))
    for io in (used, dynamic):
        with pytest.raises(ConfigError, match="'/admin' is used by the application"):
            io.admin(username="ops", password=cheap_hash())


async def test_it_is_called_once_and_before_the_start() -> None:
    io = Server(adapter=None)
    io.admin(username="ops", password=cheap_hash())
    with pytest.raises(RuntimeError, match="called once, before the server starts"):
        io.admin(insecure=True)
    late = Server(adapter=None)
    async with late:
        with pytest.raises(RuntimeError, match="called once, before the server starts"):
            late.admin(insecure=True)


async def test_page_cannot_return_to_its_session_without_a_login() -> None:
    io = Server(adapter=None, recovery=True)
    io.admin(username="ops", password=cheap_hash())
    async with io:
        assert "pid" in (await FakeClient(io).connect()).answer
        assert "pid" not in (await FakeClient(io, "/admin", USER).connect()).answer
