"""Writes broadcasts to a client's connection, which belongs to python-engineio, within limits."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty
from typing import Any

from engineio.packet import MESSAGE
from engineio.packet import Packet as EnginePacket

from zmqio.config import ManagerOptions
from zmqio.protocol.packet import Frames
from zmqio.python_socketio.client_queue import ClientQueue

__all__ = ["EncodedEvent", "ManagedConnection"]


class EncodedEvent:
    """One encoded Socket.IO packet, as packets for the queues of python-engineio.

    A text packet is shared by all clients. A binary one is not: python-engineio keeps its first encoding, which
    differs between polling and WebSocket.
    """

    __slots__ = ("_frames", "_shared", "sizes")

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self.sizes = tuple(map(len, frames))
        is_text = len(frames) == 1 and isinstance(frames[0], str)
        self._shared = self._make() if is_text else None

    def packets(self) -> list[Any]:
        """The Engine.IO packets for one client."""
        return self._make() if self._shared is None else self._shared

    def _make(self) -> list[Any]:
        return [EnginePacket(MESSAGE, frame) for frame in self._frames]


class ManagedConnection:
    """One client's connection.

    Args:
        socket: the Engine.IO socket of python-engineio, async or threaded.
        options: the limits.
        on_slow: called with this connection when the client takes its packets too slowly.
    """

    __slots__ = ("_dropped", "_on_slow", "_queue", "connected_at_s", "socket")

    def __init__(
        self, socket: Any, options: ManagerOptions, on_slow: Callable[["ManagedConnection"], None]
    ) -> None:
        self.socket = socket
        self.connected_at_s = time.time()
        self._queue = ClientQueue(options)
        self._on_slow = on_slow
        self._dropped = False

    @property
    def size_bytes(self) -> int:
        """Bytes of events that wait for the client, as of the last write."""
        return self._queue.size_bytes

    def write(self, event: EncodedEvent, *, volatile: bool = False) -> None:
        """Queue an event for the client, unless it has gone."""
        socket = self.socket
        if socket.closed or socket.closing or self._dropped:
            return
        queue = socket.queue
        queued = queue.qsize()
        if volatile and queued:
            return
        if not self._queue.admit(queued, event.sizes, time.monotonic()):
            self._dropped = True
            self._on_slow(self)
            return
        for packet in event.packets():
            queue.put_nowait(packet)

    def discard_queue(self) -> None:
        """Drop the packets that wait for the client, and let python-engineio's writer end."""
        queue = self.socket.queue
        with suppress(asyncio.QueueEmpty, Empty):  # in threads, the writer may take packets in the meantime
            while queue.qsize():
                queue.get_nowait()
                queue.task_done()
        self.end_writer()

    def end_writer(self) -> None:
        """Let python-engineio's writer close the WebSocket behind the packets that are queued.

        The CLOSE packet alone does not: JavaScript clients ignore it on a WebSocket.
        """
        self.socket.queue.put_nowait(None)
