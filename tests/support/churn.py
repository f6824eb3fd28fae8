"""Connects and disconnects repeatedly, with every transport and every kind of disconnect."""

import asyncio
import json
from typing import Any
from urllib.request import urlopen

from tests.support.members import PollingMember, WebSocketMember
from tests.support.timing import LIMIT_S

__all__ = ["churn", "read_census"]


async def churn(port: int, cycles: int, *, at_once: int = 16) -> None:
    """Run `cycles` connect/disconnect cycles, `at_once` at a time; each fourth another kind."""
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


_KINDS = (_websocket_closes, _polling_closes, _websocket_drops, _upgraded_closes)
