"""Tests of `zmqio.python_socketio.loop_thread`."""

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from zmqio.python_socketio.loop_thread import LoopThread


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    made = LoopThread("test", lambda: None)
    yield made
    made.stop()


async def _name() -> str:
    return threading.current_thread().name


def test_the_thread_starts_with_the_first_coroutine_and_after_a_stop(thread: LoopThread) -> None:
    assert not thread.running
    thread.stop()
    assert thread.run(_name()) == "test"
    assert thread.running
    thread.stop()
    assert not thread.running
    assert thread.run(_name()) == "test"


def test_errors_and_limits_reach_the_caller(thread: LoopThread) -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        thread.run(fail())
    with pytest.raises(TimeoutError):
        thread.run(asyncio.sleep(1_000), 0.01)


def test_a_blocking_call_in_the_loop_itself_is_refused(thread: LoopThread) -> None:
    async def block() -> str:
        return thread.run(_name())

    async def call() -> str:
        return thread.call(lambda: threading.current_thread().name)

    with pytest.raises(RuntimeError, match="would wait for itself"):
        thread.run(block())
    assert thread.run(call()) == "test"
    assert thread.call(lambda: threading.current_thread().name) == "test"


def test_a_forked_child_has_a_thread_of_its_own() -> None:
    resets: list[int] = []
    thread = LoopThread("test", lambda: resets.append(os.getpid()))
    thread.run(_name())
    pid = os.fork()
    if pid == 0:
        works = not thread.running and thread.run(_name()) == "test" and resets == [os.getpid()]
        os._exit(0 if works else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert resets == []
    thread.stop()
