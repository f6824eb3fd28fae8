"""`PendingAcks` alone."""

import asyncio
from typing import Any

import pytest

from zmqio.exceptions import RequestTimeoutError, SocketGoneError
from zmqio.server.acks import PendingAcks, ack_value


async def test_answer_resolves_the_wait_and_leaves_nothing_behind() -> None:
    acks = PendingAcks()
    answer = await acks.wait(7, lambda: asyncio.get_running_loop().call_soon(acks.resolve, 7, [1, 2]), 10)
    assert answer == [1, 2]
    assert len(acks) == 0


async def test_late_doubled_and_unknown_answers_are_passed_over() -> None:
    acks = PendingAcks()
    got: list[list[Any]] = []
    acks.expect(1, got.append)
    assert acks.resolve(1, ["a"])
    assert not acks.resolve(1, ["b"])
    assert not acks.resolve(2, ["c"])
    assert got == [["a"]]


async def test_no_answer_in_time_is_a_typed_error() -> None:
    acks = PendingAcks()
    with pytest.raises(RequestTimeoutError, match=r"within 0\.01 s"):
        await acks.wait(1, lambda: None, 0.01)
    assert len(acks) == 0


async def test_gone_socket_ends_the_wait_at_once() -> None:
    acks = PendingAcks()
    waiting = asyncio.ensure_future(acks.wait(1, lambda: None, None))
    await asyncio.sleep(0)
    acks.fail_all()
    with pytest.raises(SocketGoneError):
        await waiting


async def test_forgotten_answer_is_passed_over() -> None:
    acks = PendingAcks()
    got: list[list[Any]] = []
    acks.expect(1, got.append)
    acks.forget(1)
    assert not acks.resolve(1, ["late"])
    assert got == []


def test_value_of_an_acknowledgement() -> None:
    assert ack_value([]) is None
    assert ack_value(["x"]) == "x"
    assert ack_value([1, 2]) == (1, 2)
