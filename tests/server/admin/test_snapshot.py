"""The snapshot for a page: changes applied to it, and its limits."""

from typing import Any

from tests.support.fake_engine import Harness
from zmqio.server.admin.snapshot import apply_changes, describe_sockets


def socket(sid: str, *rooms: str, **facts: Any) -> dict[str, Any]:
    return {"id": sid, "nsp": "/", "rooms": [sid, *rooms], **facts}


def test_changes_are_applied_in_their_order() -> None:
    before = [socket("a", "r"), socket("b"), socket("c", transport="polling")]
    changes = [
        ("socket_connected", socket("d", "r"), "now"),
        ("room_joined", "/", "r", "b", "now"),
        ("room_left", "/", "r", "a", "now"),
        ("socket_updated", {"id": "c", "nsp": "/", "transport": "websocket"}),
        ("room_joined", "/", "s", "b", "now"),
        ("room_left", "/", "r", "b", "now"),
        ("socket_disconnected", "/", "a", "transport close", "now"),
        ("event_received", "/", "b", ["x"], "now"),
        ("server_stats", {}),
        ("room_joined", "/other", "r", "b", "now"),
        ("socket_disconnected", "/other", "b", "transport close", "now"),
    ]
    after = [socket("b", "s"), socket("c", transport="websocket"), socket("d", "r")]
    assert apply_changes(before, changes) == after
    assert apply_changes(after, changes) == after
    assert before[0] == socket("a", "r")


def test_changes_before_the_description_have_no_second_effect() -> None:
    changes = [("socket_connected", socket("a"), "now"), ("room_joined", "/", "r", "a", "now")]
    assert apply_changes([socket("a", "r")], changes) == [socket("a", "r")]
    gone = [("socket_connected", socket("a"), "now"), ("socket_disconnected", "/", "a", "x", "now")]
    assert apply_changes([], gone) == []


async def test_sockets_beyond_the_limits_are_counted() -> None:
    harness = Harness()
    for _ in range(60):
        await harness.connected()
    await harness.connected("/chat")
    everything = harness.namespaces.values()
    found, omitted = await describe_sockets(everything, 1_000, 1 << 20)
    assert (len(found), omitted) == (61, 0)
    assert {each["nsp"] for each in found} == {"/", "/chat"}
    found, omitted = await describe_sockets(everything, 50, 1 << 20)
    assert (len(found), omitted) == (50, 11)
    found, omitted = await describe_sockets(everything, 1_000, 2_000)
    assert 0 < len(found) < 10
    assert len(found) + omitted == 61


async def test_sockets_that_are_not_admitted_yet_are_left_out() -> None:
    harness = Harness()
    harness.of("/").on("connect", lambda socket: seen.append(socket.namespace))
    seen: list[str] = []

    @harness.of("/slow").on("connect")
    async def connect(socket: Any) -> None:
        seen.append((await describe_sockets(harness.namespaces.values(), 10, 1 << 20))[0])  # type: ignore[arg-type]

    client, _ = harness.client()
    client.message("0/slow,")
    await harness.settle()
    assert seen == [[]]
