"""Connects and disconnects repeatedly, with every transport and every kind of disconnect."""

import asyncio
import json
from typing import Any
from urllib.request import urlopen

from tests.support.members import OPEN, PollingMember, WebSocketMember
from tests.support.poll_connection import open_connection
from tests.support.timing import LIMIT_S
from tests.support.websocket_clients import connect

__all__ = ["churn", "read_census"]


async def churn(port: int, cycles: int, *, at_once: int = 16) -> None:
    """Run `cycles` connect/disconnect cycles, `at_once` at a time, of each kind in turn."""
    left = iter(range(cycles))

    async def worker() -> None:
        for number in left:
            await _KINDS[number % len(_KINDS)](port)

    await asyncio.gather(*(worker() for _ in range(at_once)))


def read_census(port: int) -> dict[str, Any]:
    """The objects of a node process after a garbage collection; see `NodeApp.census`."""
    with urlopen(f"http://127.0.0.1:{port}/test/census", timeout=LIMIT_S) as answer:
        census: dict[str, Any] = json.load(answer)
        return census


async def _websocket_closes(port: int) -> None:
    await (await WebSocketMember.open(port)).close()


async def _websocket_drops(port: int) -> None:
    await (await WebSocketMember.open(port)).drop()


async def _polling_closes(port: int) -> None:
    await (await PollingMember.open(port)).close()


async def _upgraded_closes(port: int) -> None:
    polling = await PollingMember.open(port)
    await (await polling.upgrade()).close()


async def _poll_aborts(port: int) -> None:
    polling = await PollingMember.open(port)
    polling.begin_poll()
    await polling.drop()


async def _upgrade_aborts(port: int) -> None:
    polling = await PollingMember.open(port)
    async with connect(f"{_URL.format(port=port)}&sid={polling.sid}", compression=None) as socket:
        await socket.send("2probe")
        assert await socket.recv() == "3probe"
        socket.transport.abort()
    await polling.close()


async def _auth_fails(port: int) -> None:
    async with connect(_URL.format(port=port), compression=None) as socket:
        await socket.send('40{"refuse":"no"}')
        while not str(await socket.recv()).startswith("44"):
            pass


async def _never_joins(port: int) -> None:
    async with open_connection(port) as connection:
        assert (await connection.get(OPEN)).status == 200


_URL = "ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
_KINDS = (
    *(_websocket_closes, _polling_closes, _websocket_drops, _upgraded_closes),
    *(_poll_aborts, _upgrade_aborts, _auth_fails, _never_joins),
)
