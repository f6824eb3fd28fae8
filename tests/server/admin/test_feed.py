"""`EventFeed`: events of namespaces in the words of the page, and its limits."""

from typing import Any

from tests.support.fake_engine import Harness
from zmqio.server.admin.feed import MAX_RECIPIENTS, EventFeed
from zmqio.server.admin.rate import MAX_EVENTS_PER_S, MAX_TRAFFIC_PER_S
from zmqio.server.observer import Observer
from zmqio.server.socket import Socket

NOW = "1970-01-01T00:00:01.000Z"


def observed() -> tuple[Harness, EventFeed, list[tuple[Any, ...]]]:
    sent: list[tuple[Any, ...]] = []
    harness, feed = Harness(), EventFeed("/admin", lambda *event: sent.append(event), lambda: 1.0)
    harness.runtime.observers.add(feed, Observer)
    return harness, feed, sent


async def test_life_of_a_socket() -> None:
    harness, _, sent = observed()
    harness.of("/").on("hello", lambda socket, *args: None)
    client, _ = await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    assert [event[0] for event in sent] == ["room_joined", "socket_connected"]
    assert (sent[1][1]["id"], sent[1][2]) == (socket.id, NOW)
    sent.clear()
    client.message('2["hello",{"a":1}]')
    await harness.settle()
    await socket.join("lobby")
    await socket.leave("lobby")
    await socket.emit("answer", b"\x00")
    client.upgraded()
    client.closed("transport close")
    assert sent == [
        ("event_received", "/", socket.id, ["hello", {"a": 1}], NOW),
        ("room_joined", "/", "lobby", socket.id, NOW),
        ("room_left", "/", "lobby", socket.id, NOW),
        ("event_sent", "/", socket.id, ["answer", "<1 bytes>"], NOW),
        ("socket_updated", {"id": socket.id, "nsp": "/", "transport": "websocket"}),
        ("room_left", "/", socket.id, socket.id, NOW),
        ("socket_disconnected", "/", socket.id, "transport close", NOW),
    ]


async def test_events_of_the_admin_namespace_are_not_reported_and_its_sockets_are() -> None:
    harness, _, sent = observed()
    client, _ = await harness.connected("/admin")
    await harness.of("/admin").emit("socket_connected")
    client.message('2/admin,["join"]')
    await harness.settle()
    assert {event[0] for event in sent} == {"room_joined", "socket_connected"}


async def test_broadcast_has_a_line_for_the_first_clients_and_one_for_the_rest() -> None:
    harness, _, sent = observed()
    for _ in range(MAX_RECIPIENTS + 3):
        await harness.connected()
    sent.clear()
    await harness.of("/").emit("news", "x")
    assert len(sent) == MAX_RECIPIENTS + 1
    assert {event[2] for event in sent[:-1]} < set(harness.of("/").sockets)
    assert sent[-1] == ("event_sent", "/", "and 3 more", ["news", "x"], NOW)


async def test_events_beyond_the_rate_are_counted_in_one_line() -> None:
    harness, feed, sent = observed()
    await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    for number in range(MAX_EVENTS_PER_S):
        await socket.emit("tick", number)
    assert len(sent) == MAX_TRAFFIC_PER_S
    assert not feed.report_omitted("node7")
    omitted = MAX_EVENTS_PER_S - (MAX_TRAFFIC_PER_S - 2)  # two were for the connect
    line = f"(zmqio: {omitted} events are not shown, more than {MAX_EVENTS_PER_S} per second)"
    assert sent[-1] == ("event_sent", "/", "node node7", [line], NOW)
    assert not feed.report_omitted("node7")
    assert len(sent) == MAX_TRAFFIC_PER_S + 1


async def test_omitted_changes_are_said_to_make_pages_stale() -> None:
    harness, feed, _ = observed()
    await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    for number in range(MAX_EVENTS_PER_S):
        await socket.join(f"room {number}")
    assert feed.report_omitted("node7")


async def test_data_that_a_handler_changes_is_reported_once() -> None:
    harness, feed, sent = observed()

    @harness.of("/").on("rename")
    def rename(socket: Socket, name: str) -> None:
        socket.data["name"] = name

    client, _ = await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    client.message('2["rename","Ada"]')
    await harness.settle()
    sent.clear()
    feed.report_data()
    feed.report_data()
    assert sent == [("socket_updated", {"id": socket.id, "nsp": "/", "data": {"name": "Ada"}})]
