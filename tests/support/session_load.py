"""Hundreds of official JavaScript clients that check their own sessions, in a few Node.js processes."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.npm import node_modules, require_node
from tests.support.timing import LIMIT_S, wait_until

__all__ = ["Seen", "SessionLoad", "Talk", "summary"]

SCRIPT = Path(__file__).with_name("session_clients.mjs")
LINE_LIMIT_BYTES = 32 << 20
CONNECT_LIMIT_S = 3 * LIMIT_S
TALK_LIMIT_S = 15 * LIMIT_S


@dataclass(frozen=True, slots=True)
class Talk:
    """The messages that every client sends.

    Attributes:
        messages: how many; None: until `finish`.
        window: most of them that wait for their acknowledgement.
        pace_ms: mean pause between two, in milliseconds.
    """

    messages: int | None = 50
    window: int = 4
    pace_ms: int = 50


@dataclass(frozen=True, slots=True)
class Seen:
    """The counters of one client; the names are those of `session_clients.mjs`.

    Attributes:
        client: its number; even ones only poll.
        way: `polling` or `upgrade`.
        acked: messages of its own that were acknowledged.
        received: messages of its partner.
        lost: sent but never acknowledged or never at the server, or a hole in what the partner said.
        doubled: at the server, an acknowledgement, or of the partner.
        disorder: arrived late at the server, or acknowledged with another number.
        unknown_sessions: answers `Session ID unknown`.
        resent: messages whose connection ended before their acknowledgement.
        slowest_ms: the longest time from a message to its acknowledgement, in milliseconds.
        disconnects: reasons of connections that ended.
        disconnected_at: the times of these ends, in Unix seconds.
        refusals: connects that failed.
        upgrade_errors: WebSocket probes that failed.
        homes: server processes (pids) that it was on, in order.
        sids: its Engine.IO sessions, in order.
        upgraded: whether it got to WebSocket.
        wrong: the first loss, duplicate or delay, in words.
    """

    client: int
    way: str
    acked: int
    received: int
    lost: int
    doubled: int
    disorder: int
    unknown_sessions: int
    resent: int
    slowest_ms: float
    disconnects: list[str] = field(default_factory=list)
    disconnected_at: list[float] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    upgrade_errors: list[str] = field(default_factory=list)
    homes: list[int] = field(default_factory=list)
    sids: list[str] = field(default_factory=list)
    upgraded: bool = False
    wrong: list[str] = field(default_factory=list)


class SessionLoad:
    """The clients; used as `async with`.

    Args:
        processes: Node.js processes that they are spread over.

    Attributes:
        homes: client -> pid of the server process that it is on now.
    """

    def __init__(self, processes: int = 1) -> None:
        self._drivers = [_Driver(self) for _ in range(processes)]
        self.homes: dict[int, int] = {}

    async def __aenter__(self) -> "SessionLoad":
        await asyncio.gather(*(driver.start() for driver in self._drivers))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(driver.stop() for driver in self._drivers))

    @property
    def acked(self) -> int:
        """Messages of all clients that have been acknowledged, a moment ago."""
        return sum(driver.acked for driver in self._drivers)

    async def connect(self, url: str, clients: int, *, spread: bool) -> None:
        """Connect the clients at once, and wait until each is in its room.

        Args:
            url: where.
            clients: how many; an even number.
            spread: whether each comes from a network of its own (127.0.N.1).
        """
        share = clients // 2 // len(self._drivers) * 2
        firsts = [number * share for number in range(len(self._drivers))]
        counts = [*[share] * (len(self._drivers) - 1), clients - firsts[-1]]
        for driver, first, count in zip(self._drivers, firsts, counts, strict=True):
            await driver.send(op="open", url=url, first=first, count=count, spread=spread)
        await self._wait(
            lambda: len(self.homes) == clients, CONNECT_LIMIT_S, f"{clients} clients, each in its room"
        )

    async def talk(self, talk: Talk) -> None:
        """Let every client start to send."""
        for driver in self._drivers:
            await driver.send(op="talk", messages=talk.messages, window=talk.window, pace_ms=talk.pace_ms)

    async def finish(self) -> None:
        """Let clients that send without end stop sending."""
        for driver in self._drivers:
            await driver.send(op="finish")

    async def ended(self) -> list[Seen]:
        """Wait until every client has all acknowledgements; return the counters of each."""
        await self._wait(lambda: all(driver.seen is not None for driver in self._drivers), TALK_LIMIT_S, "the end")
        return [Seen(**one) for driver in self._drivers for one in driver.seen or ()]

    async def wait_acked(self, count: int) -> None:
        """Wait until so many messages have been acknowledged."""
        await self._wait(lambda: self.acked >= count, TALK_LIMIT_S, f"{count} acknowledgements")

    async def wait_left(self, pids: Iterable[int]) -> None:
        """Wait until no client is on any of these server processes."""
        old = set(pids)
        await self._wait(lambda: not old & set(self.homes.values()), TALK_LIMIT_S, f"nobody on {old}")

    async def _wait(self, condition: Any, limit_s: float, what: str) -> None:
        ends_at = asyncio.get_running_loop().time() + limit_s
        while not condition():
            now = (
                f"{len(self.homes)} clients have got into their rooms, {self.acked} messages are acknowledged, "
                f"{sum(driver.unknown_sessions for driver in self._drivers)} times 'Session ID unknown'"
            )
            assert all(driver.runs for driver in self._drivers), f"a Node.js process has ended; {now}"
            assert asyncio.get_running_loop().time() < ends_at, f"not within {limit_s:g} s: {what}; {now}"
            await asyncio.sleep(0.02)


class _Driver:
    """One Node.js process."""

    def __init__(self, load: SessionLoad) -> None:
        self._load = load
        self._ready = False
        self.acked = self.unknown_sessions = 0
        self.seen: list[dict[str, Any]] | None = None

    @property
    def runs(self) -> bool:
        return self._process.returncode is None

    async def start(self) -> None:
        node, packages = require_node(), node_modules("socket.io-client").parent
        self._process = await asyncio.create_subprocess_exec(
            node,
            str(SCRIPT),
            str(packages),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT_BYTES,
        )
        self._reader = asyncio.create_task(self._read(self._process))
        await wait_until(lambda: self._ready or self._reader.done(), "the JavaScript process")

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), LIMIT_S)
        if self.runs:
            self._process.kill()
            await self._process.wait()
        await self._reader

    async def send(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self._take(json.loads(line))

    def _take(self, report: dict[str, Any]) -> None:
        match report["kind"]:
            case "ready":
                self._ready = True
            case "home":
                self._load.homes[report["client"]] = report["pid"]
            case "acked":
                self.acked, self.unknown_sessions = report["total"], report["unknown_sessions"]
            case "end":
                self.seen = report["clients"]


def summary(seen: Sequence[Seen]) -> Counter[str]:
    """Sums over clients. All but `clients`, `acked` and `homes` are 0 when no session was lost."""
    sums: Counter[str] = Counter(clients=len(seen), homes=len({one.homes[-1] for one in seen}))
    for one in seen:
        for name in ("acked", "lost", "doubled", "disorder", "unknown_sessions"):
            sums[name] += getattr(one, name)
        sums["reconnects"] += len(one.disconnects)
        sums["refused"] += len(one.refusals)
        sums["not_upgraded"] += one.way == "upgrade" and not (one.upgraded and not one.upgrade_errors)
    return sums
