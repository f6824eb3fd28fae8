"""`Handlers`: registration errors, arity, and results."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from zmqio.server.handlers import Handlers, call, result_args


def test_event_has_one_handler() -> None:
    handlers = Handlers()
    handlers.add("news", lambda socket: None)
    with pytest.raises(ValueError, match="already"):
        handlers.add("news", lambda socket: None)


def test_function_without_arguments_is_refused_at_registration() -> None:
    with pytest.raises(TypeError, match="first argument must be the socket"):
        Handlers().add("news", lambda: None)


def test_handler_must_be_a_function() -> None:
    with pytest.raises(TypeError, match="is not a function"):
        Handlers().add("news", "handler")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "accepted", "refused", "described"),
    [
        (lambda socket, a: None, [2], [1, 3], "1"),
        (lambda socket, a, b=1: None, [2, 3], [1, 4], "1 to 2"),
        (lambda socket, *args: None, [1, 2, 9], [0], "0 or more"),
        (lambda *args: None, [0, 1, 9], [], "0 or more"),
        ({}.update, [0, 1, 9], [], "0 or more"),  # written in C, without a signature
    ],
)
def test_arity_is_determined_at_registration(
    function: Any, accepted: list[int], refused: list[int], described: str
) -> None:
    handlers = Handlers()
    handlers.add("x", function)
    handler = handlers.get("x")
    assert handler is not None
    assert all(handler.accepts(count) for count in accepted)
    assert not any(handler.accepts(count) for count in refused)
    assert handler.describe_args(besides_socket=True) == described


async def test_plain_functions_and_coroutines_are_both_called() -> None:
    async def slow(socket: str) -> str:
        return f"slow {socket}"

    handlers = Handlers()
    handlers.add("slow", slow)
    handlers.add("quick", lambda socket: f"quick {socket}")
    slow_handler, quick_handler = handlers.get("slow"), handlers.get("quick")
    assert slow_handler is not None
    assert quick_handler is not None
    assert await slow_handler.call("s") == "slow s"
    assert await quick_handler.call("s") == "quick s"


def test_connect_handler_may_omit_auth() -> None:
    handlers = Handlers()
    handlers.add("connect", lambda socket: None)
    handler = handlers.get("connect")
    assert handler is not None
    assert handler.usable(("socket", "auth")) == ("socket",)


def test_result_becomes_the_arguments_of_the_acknowledgement() -> None:
    assert result_args(None) == []
    assert result_args("x") == ["x"]
    assert result_args([1, 2]) == [[1, 2]]
    assert result_args((1, 2)) == [1, 2]


async def test_cancelled_error_of_the_function_is_a_failure_and_that_of_the_task_is_not() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="what it awaited was cancelled"):
        await call(cancelled)
    task = asyncio.create_task(call(asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await call(asyncio.Event().wait)


async def test_plain_function_that_holds_the_loop_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def in_time() -> int:
        return 7

    def slow(number: int) -> int:
        clock[0] += 0.2
        return number

    clock = [0.0]
    monkeypatch.setattr("zmqio.server.handlers.perf_counter", lambda: clock[0])
    with capture_logs() as logs:
        assert [await call(slow, 1), await call(slow, 2), await call(in_time)] == [1, 2, 7]
    (line,) = logs
    assert (line["event"], line["held_s"], line["function"].endswith("slow")) == ("loop_blocked", 0.2, True)


async def test_object_that_holds_the_loop_is_named_by_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        def __call__(self) -> None:
            clock[0] += 0.2

    clock = [0.0]
    monkeypatch.setattr("zmqio.server.handlers.perf_counter", lambda: clock[0])
    with capture_logs() as logs:
        await call(Slow())
    assert logs[0]["function"].endswith("Slow")
