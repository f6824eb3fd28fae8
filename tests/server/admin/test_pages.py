"""`DevelopmentPages` over two servers: all sockets, then changes and events of both, only while a page is open."""

import re

import pytest

from tests.support.admin_nodes import USER, FakeClient, admin_nodes
from tests.support.timing import wait_until
from zmqio.server.admin import pages as module
from zmqio.server.admin import snapshot
from zmqio.server.server import Server


def observes(io: Server) -> bool:
    return bool(io._lifecycle.observers.event_sent)


async def test_page_receives_the_sockets_of_every_node_and_then_their_changes_and_events() -> None:
    async with admin_nodes(2, mode="development") as (first, second):
        here, there = await FakeClient(first).connect(), await FakeClient(second, "/chat").connect()
        page = await FakeClient(first, "/admin", USER).connect()
        (sockets,) = await page.wait_for("all_sockets")
        found = {each["id"]: each["nsp"] for each in sockets}
        assert found == {here.sid: "/", there.sid: "/chat", page.sid: "/admin"}
        there.emit("hello", {"a": 1})
        event = await page.wait_for("event_received")
        assert event[:3] == ["/chat", there.sid, ["hello", {"a": 1}]]
        late = await FakeClient(second).connect()
        await wait_until(
            lambda: late.sid in [entry[1]["id"] for entry in page.events("socket_connected")], "the new socket"
        )
        there.websocket.close()
        gone = await page.wait_for("socket_disconnected")
        assert gone[:3] == ["/chat", there.sid, "transport close"]


async def test_nodes_observe_only_while_a_page_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.server.admin.watch.INTERVAL_S", 0.05)
    monkeypatch.setattr("zmqio.server.admin.watch.LASTS_S", 0.5)
    async with admin_nodes(2, mode="development") as (first, second):
        assert not observes(first) and not observes(second)
        page = await FakeClient(first, "/admin", USER).connect()
        await page.wait_for("all_sockets")
        await wait_until(lambda: observes(first) and observes(second), "the observation")
        page.websocket.close()
        await wait_until(lambda: not observes(first) and not observes(second), "the end of the observation")


async def test_page_of_a_node_that_does_not_answer_receives_the_other_sockets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshot, "REQUEST_LIMIT_S", 0.2)
    async with admin_nodes(2, mode="development") as (first, second):
        second.of("/admin").registry.listeners._server_side._by_event.pop("describe")
        here = await FakeClient(first).connect()
        page = await FakeClient(first, "/admin", USER).connect()
        (sockets,) = await page.wait_for("all_sockets")
        assert here.sid in {each["id"] for each in sockets}


async def test_sockets_that_are_left_out_are_counted_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MAX_SOCKETS", 2)
    async with admin_nodes(1, mode="development") as (io,):
        for _ in range(4):
            await FakeClient(io).connect()
        page = await FakeClient(io, "/admin", USER).connect()
        (sockets,) = await page.wait_for("all_sockets")
        assert len([each for each in sockets if each["nsp"] == "/"]) == 2
        *_, (line,), _ = await page.wait_for("event_sent")
        assert re.fullmatch(r"\(zmqio: \d sockets are not shown\)", line)


async def test_sockets_of_a_node_that_leaves_are_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zmqio.server.admin.watch.INTERVAL_S", 0.05)
    monkeypatch.setattr(module, "REFRESH_S", 0.1)
    async with admin_nodes(2, mode="development") as (first, second):
        client = await FakeClient(second).connect()
        page = await FakeClient(first, "/admin", USER).connect()
        (sockets,) = await page.wait_for("all_sockets")
        assert client.sid in {each["id"] for each in sockets}
        second._lifecycle.observers.remove(second._admin._pages._feed)  # type: ignore[union-attr]
        await second.close()
        await wait_until(
            lambda: client.sid not in {each["id"] for each in page.events("all_sockets")[-1][1]}, "its end"
        )


async def test_node_that_learns_of_pages_late_brings_the_sockets_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.server.admin.watch.INTERVAL_S", 0.05)
    monkeypatch.setattr(module, "REFRESH_S", 0.1)
    async with admin_nodes(2, mode="development") as (first, second):
        page = await FakeClient(first, "/admin", USER).connect()
        await page.wait_for("all_sockets")
        second._admin._watch.stop()  # type: ignore[union-attr]  # as after an outage of the broker
        client = await FakeClient(second).connect()
        await wait_until(
            lambda: client.sid in {each["id"] for each in page.events("all_sockets")[-1][1]}, "the new socket"
        )


async def test_omitted_changes_bring_the_sockets_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.server.admin.watch.INTERVAL_S", 0.05)
    monkeypatch.setattr(module, "REFRESH_S", 0.1)
    async with admin_nodes(2, mode="development") as (first, second):
        client = await FakeClient(second).connect()
        page = await FakeClient(first, "/admin", USER).connect()
        await page.wait_for("all_sockets")
        rooms = [f"room {number}" for number in range(1_000)]
        await second.local.sockets_join(rooms)

        def shows_all() -> bool:
            *_, (_, newest) = page.events("all_sockets")
            return any(set(rooms) <= set(each["rooms"]) for each in newest if each["id"] == client.sid)

        await wait_until(shows_all, "a snapshot with all rooms")
