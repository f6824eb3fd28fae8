"""The emitting part of a node: a fixed rate in small slices, on the node's own event loop."""

import asyncio
import time
from collections import Counter

from tests.bench.soak.ledger import Ledger
from tests.bench.soak.load import Message, room_name, room_of
from zmqio.exceptions import ZmqioError
from zmqio.server.server import Server

__all__ = ["Emitting"]

SLICE_S = 0.01
LARGEST_SLICE = 2
"""Most slices of messages at once, so that delayed messages are caught up slowly, and not all of them."""


class Emitting:
    """Emits until it is stopped, or the ledger is full.

    Args:
        io: the server.
        emitter: index of this node.
        ledger: records every message.

    Attributes:
        count: emitted messages.
        errors: emits that raised, by error name.
    """

    def __init__(self, io: Server, emitter: int, ledger: Ledger) -> None:
        self._io = io
        self._emitter = emitter
        self._ledger = ledger
        self._rooms = [room_name(room) for room in range(100)]
        self._task: asyncio.Task[None] | None = None
        self.count = 0
        self.errors: Counter[str] = Counter()

    def start(self, per_second: float) -> None:
        """Start emitting, or change the rate."""
        self.stop()
        self._task = asyncio.get_running_loop().create_task(self._run(per_second))

    def stop(self) -> None:
        """Stop emitting."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, per_second: float) -> None:
        loop = asyncio.get_running_loop()
        slice_messages = per_second * SLICE_S
        due, last_s = 0.0, loop.time()
        while self.count < self._ledger.capacity:
            now_s = loop.time()
            due = min(due + (now_s - last_s) * per_second, LARGEST_SLICE * slice_messages)
            last_s = now_s
            while due >= 1 and self.count < self._ledger.capacity:
                due -= 1
                await self._emit_next()
            await asyncio.sleep(SLICE_S)

    async def _emit_next(self) -> None:
        number, now_ns = self.count, time.monotonic_ns()
        self.count += 1
        self._ledger.emitted(number, now_ns)
        room = self._rooms[room_of(self._emitter, number)]
        try:
            await self._io.to(room).emit("m", Message(self._emitter, number, now_ns).text())
        except ZmqioError as error:
            self._ledger.refused(number)
            self.errors[type(error).__name__] += 1
