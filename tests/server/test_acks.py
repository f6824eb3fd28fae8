"""`PendingAcks`: waits, callbacks and time-outs."""

import asyncio
from typing import Any

import pytest

from zmqio.exceptions import RequestTimeoutError, SocketGoneError
from zmqio.server.acks import PendingAcks, ack_value


async def test_acknowledgement_ends_the_wait_and_removes_its_entry() -> None:
    acks = PendingAcks()
    answer = await acks.wait(7, lambda: asyncio.get_running_loop().call_soon(acks.resolve, 7, [1, 2]), 10)
    assert answer == [1, 2]
    assert len(acks) == 0


async def test_late_repeated_and_unknown_acknowledgements_are_ignored() -> None:
    acks = PendingAcks()
    got: list[list[Any]] = []
    acks.expect(1, got.append, lambda: None)
    assert acks.resolve(1, ["a"])
    assert not acks.resolve(1, ["b"])
    assert not acks.resolve(2, ["c"])
    assert got == [["a"]]


async def test_missing_acknowledgement_raises_a_timeout_error() -> None:
    acks = PendingAcks()
    with pytest.raises(RequestTimeoutError, match=r"within 0\.01 s"):
        await acks.wait(1, lambda: None, 0.01)
    assert len(acks) == 0


async def test_disconnect_fails_the_wait_at_once() -> None:
    acks = PendingAcks()
    waiting = asyncio.ensure_future(acks.wait(1, lambda: None, None))
    await asyncio.sleep(0)
    acks.fail_all()
    with pytest.raises(SocketGoneError):
        await waiting


async def test_forgotten_acknowledgement_is_ignored() -> None:
    acks = PendingAcks()
    got: list[list[Any]] = []
    acks.expect(1, got.append, lambda: None)
    acks.forget(1)
    assert not acks.resolve(1, ["late"])
    assert got == []


def test_value_of_an_acknowledgement_depends_on_the_number_of_arguments() -> None:
    assert ack_value([]) is None
    assert ack_value(["x"]) == "x"
    assert ack_value([1, 2]) == (1, 2)


async def test_disconnect_reports_each_client_that_has_not_acknowledged() -> None:
    acks, gone = PendingAcks(), []
    acks.expect(1, lambda args: None, lambda: gone.append(1))
    acks.expect(2, lambda args: None, lambda: gone.append(2))
    acks.resolve(1, [])
    acks.fail_all()
    acks.fail_all()
    assert gone == [2]
