"""`Listeners` alone: server-side events and room events."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from zmqio.ids import Sid
from zmqio.server.listeners import Listeners


async def test_result_answers_the_asking_node() -> None:
    listeners, answers = Listeners("/"), []

    @listeners.on_server_side("sum")
    async def add(a: int, b: int) -> int:
        return a + b

    await listeners.server_side_event(["sum", 1, 2], answers.append)
    assert answers == [[3]]


@pytest.mark.parametrize("args", [["other"], ["sum", 1]])
async def test_event_that_nobody_can_take_is_told_and_not_answered(args: list[Any]) -> None:
    listeners, answers = Listeners("/"), []
    listeners.on_server_side("sum")(lambda a, b: a + b)
    with capture_logs() as logs:
        await listeners.server_side_event(args, answers.append)
    assert answers == []
    assert logs[0]["event"] == "server_side_event_unhandled"


async def test_failing_function_is_logged_and_not_answered() -> None:
    listeners, answers = Listeners("/"), []
    listeners.on_server_side("fail")(lambda: 1 / 0)
    with capture_logs() as logs:
        await listeners.server_side_event(["fail"], answers.append)
    assert answers == []
    assert logs[0]["event"] == "handler_failed"


def test_room_events_reach_every_listener_even_when_one_fails() -> None:
    listeners, heard = Listeners("/"), []
    listeners.on_room("join-room")(lambda room, sid: 1 / 0)
    listeners.on_room("join-room")(lambda room, sid: heard.append((room, sid)))
    listeners.on_room("create-room")(heard.append)
    with capture_logs():
        listeners.room_event("create-room", "lobby", None)
        listeners.room_event("join-room", "lobby", Sid("s"))
        listeners.room_event("leave-room", "lobby", Sid("s"))
    assert heard == ["lobby", ("lobby", "s")]


def test_unknown_room_event_names_those_that_exist() -> None:
    with pytest.raises(ValueError, match="create-room, delete-room, join-room, leave-room"):
        Listeners("/").on_room("rooms")
