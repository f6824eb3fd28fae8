"""Counts of connections, from libzmq's socket monitors, including peers that do not speak ZeroMQ.

The monitor thread only counts and never logs: an I/O thread of libzmq must never wait for a terminal.
"""

import errno
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import zmq

from zmqio_broker.accept_pause import AcceptPause
from zmqio_broker.descriptors import close_connection

__all__ = ["PeerCounts", "PeerMonitor"]

_EVENTS = (
    zmq.EVENT_LISTENING
    | zmq.EVENT_ACCEPTED
    | zmq.EVENT_ACCEPT_FAILED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_DISCONNECTED
)
_LOOK_MS = 100
_EVENT = struct.Struct("=Hi")


@dataclass(slots=True)
class PeerCounts:
    """Connections to one endpoint since the broker started.

    Attributes:
        connects: connections that completed the ZMTP handshake.
        disconnects: connections that ended after the handshake, including those of senders that were disconnected
            for a message over the limit.
        rejections: connections that ended before the handshake: other protocols (HTTP, TLS, scanners), sockets of
            the wrong type, and peers that gave up.
        accept_failures: connections that could not be accepted, or were closed at once, for lack of file
            descriptors.
    """

    connects: int = 0
    disconnects: int = 0
    rejections: int = 0
    accept_failures: int = 0
    _open: set[int] = field(default_factory=set)
    _handshaking: dict[int, None] = field(default_factory=dict)
    _refused: set[int] = field(default_factory=set)

    @property
    def connected(self) -> int:
        """Number of current connections."""
        return self.connects - self.disconnects

    def descriptors(self) -> set[int]:
        """Return those of the open connections. Any thread may call this."""
        return self._open.copy()

    def feed(self, event: int, value: int) -> None:
        """Count one monitor event. `value` is the file descriptor for ACCEPTED and DISCONNECTED.

        HANDSHAKE_SUCCEEDED has no descriptor, so it is assigned to the oldest handshake. While handshakes overlap,
        a rejected connection may therefore be counted only after both connections have ended.
        """
        if event == zmq.EVENT_ACCEPTED:
            self._handshaking[value] = None
            self._open.add(value)
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.connects += 1
            self._handshaking.pop(next(iter(self._handshaking), -1), None)
        elif event == zmq.EVENT_ACCEPT_FAILED and value != errno.EAGAIN:  # the client has gone
            self.accept_failures += 1
        elif event == zmq.EVENT_DISCONNECTED:
            self._disconnected(value)

    def refuse(self, descriptor: int) -> None:
        """Count a connection that is closed by the broker although it was just accepted."""
        self.accept_failures += 1
        self._refused.add(descriptor)

    def _disconnected(self, descriptor: int) -> None:
        self._open.discard(descriptor)
        was_refused = descriptor in self._refused
        self._refused.discard(descriptor)
        if descriptor not in self._handshaking:
            self.disconnects += 1
            return
        del self._handshaking[descriptor]
        if not was_refused:
            self.rejections += 1


class PeerMonitor:
    """Reads the monitors of several sockets, and prevents that libzmq accepts without descriptors.

    Connections that would use the last free descriptors of this process are closed. If an attempt fails all the
    same, because the whole system has none, accepting is paused. This thread may be late: a connection that was
    accepted before the pause is kept, unless the reserved descriptor is missing.

    Args:
        context: context of the monitored sockets.
        connection_limit: the lowest descriptor that no connection may keep.
        close: closes the connection with a descriptor.
        accepted: called with the role and the descriptor of each new connection that is kept.
        listening: called with the role and the descriptor of each listening socket.

    Attributes:
        counts: counts by role, written by the thread that runs `run` and read by others.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        connection_limit: int,
        close: Callable[[int], None] = close_connection,
        accepted: Callable[[str, int], None] = lambda role, descriptor: None,
        listening: Callable[[str, int], None] = lambda role, descriptor: None,
    ) -> None:
        self.counts: dict[str, PeerCounts] = {}
        self.sockets: list[zmq.Socket[bytes]] = []
        self._context = context
        self._connection_limit = connection_limit
        self._close = close
        self._accepted = accepted
        self._listening = listening
        self._poller = zmq.Poller()
        self._roles: dict[zmq.Socket[bytes], str] = {}
        self._pause = AcceptPause(time.monotonic)

    def add(self, role: str, socket: zmq.Socket[bytes]) -> None:
        """Monitor `socket`. Call this before binding it, so that no event is missed."""
        address = f"inproc://monitor-{role}"
        socket.monitor(address, _EVENTS)
        reader = self._context.socket(zmq.PAIR)
        reader.setsockopt(zmq.LINGER, 0)
        # When this queue is full, libzmq's I/O thread blocks, and the whole broker with it. The queue has no limit
        # of its own; a reserve of descriptors prevents failed attempts to accept from filling it (`descriptors`).
        reader.setsockopt(zmq.RCVHWM, 0)
        reader.connect(address)
        self.sockets.append(reader)
        self.counts[role] = PeerCounts()
        self._roles[reader] = role
        self._poller.register(reader, zmq.POLLIN)

    def run(self) -> None:
        """Count until the context is terminated."""
        try:
            while True:
                for socket, _ in self._poller.poll(_LOOK_MS if self._pause.is_paused else None):
                    event, value = _EVENT.unpack(socket.recv_multipart()[0])
                    self._handle(self._roles[socket], event, value)
                self._pause.end_if_due()
        finally:
            self._pause.close()

    def _handle(self, role: str, event: int, value: int) -> None:
        counts = self.counts[role]
        counts.feed(event, value)
        if event == zmq.EVENT_LISTENING:
            self._pause.add_listener(value)
            self._listening(role, value)
        elif event == zmq.EVENT_ACCEPT_FAILED:
            self._pause.failed(value)
        elif event == zmq.EVENT_ACCEPTED and (value >= self._connection_limit or self._pause.lacks_reserve):
            counts.refuse(value)
            self._close(value)
        elif event == zmq.EVENT_ACCEPTED:
            self._accepted(role, value)
