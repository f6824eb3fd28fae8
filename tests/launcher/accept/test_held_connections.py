"""Connections that wait for a stalled worker."""

import socket

import pytest

from tests.support.timing import wait_until
from zmqio.ids import NodeTag
from zmqio.launcher.accept import held_connections
from zmqio.launcher.accept.held_connections import HeldConnection, HeldConnections
from zmqio.launcher.routing.request_head import RequestHead

ONE, TWO = NodeTag("one1"), NodeTag("two2")


def connection() -> HeldConnection:
    return HeldConnection(socket.socket(), RequestHead(), None)


async def test_connections_are_taken_by_worker_in_order() -> None:
    expired: list[socket.socket] = []
    held = HeldConnections(expired.append)
    first, second, other = connection(), connection(), connection()
    for tag, each in ((ONE, first), (TWO, other), (ONE, second)):
        assert held.hold(tag, each)
    assert held.take(ONE) == [first, second]
    assert held.take(ONE) == []
    held.close()
    assert other.connection.fileno() == -1
    assert expired == []
    for each in (first, second):
        each.connection.close()


async def test_connection_expires_and_their_number_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_connections, "HELD_LIMIT_S", 0.01)
    monkeypatch.setattr(held_connections, "MAX_HELD", 2)
    expired: list[socket.socket] = []
    held = HeldConnections(expired.append)
    ours = [connection() for _ in range(3)]
    assert [held.hold(tag, each) for tag, each in zip((ONE, TWO, ONE), ours, strict=True)] == [True, True, False]
    await wait_until(lambda: len(expired) == 2, "both to expire")
    assert held.take(ONE) == held.take(TWO) == []
    assert held.hold(ONE, ours[2])
    held.close()
    for each in ours:
        each.connection.close()
