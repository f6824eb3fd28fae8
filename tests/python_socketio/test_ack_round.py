"""Tests of `zmqio.python_socketio.ack_round`."""

import asyncio
from typing import Any

import pytest

from tests.support.timing import wait_until
from zmqio.python_socketio.ack_round import AckRound, ExpectedAck


async def test_answers_and_losses_are_reported() -> None:
    acks: list[list[Any]] = []
    expected: list[int] = []
    forgotten: list[None] = []
    one = AckRound(3, acks.append, expected.append, 100, lambda: forgotten.append(None))
    ExpectedAck(one, lambda function, *args: function(*args))(1, 2)
    ExpectedAck(one, lambda function, *args: function(*args)).lost()
    ExpectedAck(one, lambda function, *args: function(*args))()
    assert (acks, expected, forgotten) == ([[1, 2], []], [2], [])


async def test_the_timer_forgets_once() -> None:
    forgotten: list[None] = []
    AckRound(1, lambda args: None, lambda count: None, 0, lambda: forgotten.append(None))
    await wait_until(lambda: forgotten, "the timer")


async def test_no_timer_is_left_behind_a_complete_round(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[asyncio.TimerHandle] = []
    loop = asyncio.get_running_loop()
    call_later = loop.call_later
    monkeypatch.setattr(loop, "call_later", lambda *args: timers.append(call_later(*args)) or timers[-1])
    AckRound(1, lambda args: None, lambda count: None, 300, lambda: None).answered([])
    assert [timer.cancelled() for timer in timers] == [True]
