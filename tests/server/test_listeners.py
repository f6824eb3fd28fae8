"""`Listeners`: server-side events and room events."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from zmqio.exceptions import PacketError
from zmqio.ids import Sid
from zmqio.server.listeners import Listeners


async def test_result_is_the_response_to_the_requesting_node() -> None:
    listeners, responses = Listeners("/"), []

    @listeners.on_server_side("sum")
    async def add(a: int, b: int) -> int:
        return a + b

    await listeners.server_side_event(["sum", 1, 2], responses.append)
    assert responses == [[3]]


@pytest.mark.parametrize("args", [["other"], ["sum", 1]])
async def test_event_without_a_matching_function_is_logged_and_gets_no_response(args: list[Any]) -> None:
    listeners, responses = Listeners("/"), []
    listeners.on_server_side("sum")(lambda a, b: a + b)
    with capture_logs() as logs:
        await listeners.server_side_event(args, responses.append)
    assert responses == []
    assert logs[0]["event"] == "server_side_event_unhandled"


async def test_failing_function_is_logged_and_gets_no_response() -> None:
    listeners, responses = Listeners("/"), []
    listeners.on_server_side("fail")(lambda: 1 / 0)
    with capture_logs() as logs:
        await listeners.server_side_event(["fail"], responses.append)
    assert responses == []
    assert logs[0]["event"] == "handler_failed"


def test_room_events_reach_every_listener_even_if_one_fails() -> None:
    listeners, received = Listeners("/"), []
    listeners.on_room("join-room")(lambda room, sid: 1 / 0)
    listeners.on_room("join-room")(lambda room, sid: received.append((room, sid)))
    listeners.on_room("create-room")(received.append)
    with capture_logs():
        listeners.room_event("create-room", "lobby", None)
        listeners.room_event("join-room", "lobby", Sid("s"))
        listeners.room_event("leave-room", "lobby", Sid("s"))
    assert received == ["lobby", ("lobby", "s")]


def test_unknown_room_event_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="create-room, delete-room, join-room, leave-room"):
        Listeners("/").on_room("rooms")


async def test_response_that_cannot_be_sent_is_a_failure_of_the_handler() -> None:
    listeners = Listeners("/")
    listeners.on_server_side("ask")(lambda: 1)

    def respond(args: list[Any]) -> None:
        raise PacketError("nested too deeply")

    with capture_logs() as logs:
        await listeners.server_side_event(["ask"], respond)
    assert [entry["event"] for entry in logs] == ["handler_failed"]
