"""Counts of connections, from libzmq's socket monitors, including peers that do not speak ZeroMQ.

The monitor thread only counts and never logs: an I/O thread of libzmq must never wait for a terminal.
"""

import struct
from dataclasses import dataclass, field

import zmq

__all__ = ["PeerCounts", "PeerMonitor"]

_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_ACCEPT_FAILED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
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
        accept_failures: connections that could not be accepted, for example for lack of file descriptors.
    """

    connects: int = 0
    disconnects: int = 0
    rejections: int = 0
    accept_failures: int = 0
    _handshaking: dict[int, None] = field(default_factory=dict)

    @property
    def connected(self) -> int:
        """Number of current connections."""
        return self.connects - self.disconnects

    def feed(self, event: int, value: int) -> None:
        """Count one monitor event. `value` is the file descriptor for ACCEPTED and DISCONNECTED.

        HANDSHAKE_SUCCEEDED has no descriptor, so it is assigned to the oldest handshake. While handshakes overlap,
        a rejected connection may therefore be counted only after both connections have ended.
        """
        if event == zmq.EVENT_ACCEPTED:
            self._handshaking[value] = None
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.connects += 1
            self._handshaking.pop(next(iter(self._handshaking), -1), None)
        elif event == zmq.EVENT_ACCEPT_FAILED:
            self.accept_failures += 1
        elif event == zmq.EVENT_DISCONNECTED:
            self._disconnected(value)

    def _disconnected(self, descriptor: int) -> None:
        if descriptor in self._handshaking:
            del self._handshaking[descriptor]
            self.rejections += 1
        else:
            self.disconnects += 1


class PeerMonitor:
    """Reads the monitors of several sockets.

    Attributes:
        counts: counts by role, written by the thread that runs `run` and read by others.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.counts: dict[str, PeerCounts] = {}
        self.sockets: list[zmq.Socket[bytes]] = []
        self._context = context
        self._poller = zmq.Poller()
        self._counts_by_socket: dict[zmq.Socket[bytes], PeerCounts] = {}

    def add(self, role: str, socket: zmq.Socket[bytes]) -> None:
        """Monitor `socket`. Call this before binding it, so that no event is missed."""
        address = f"inproc://monitor-{role}"
        socket.monitor(address, _EVENTS)
        reader = self._context.socket(zmq.PAIR)
        reader.setsockopt(zmq.LINGER, 0)
        # When this queue is full, libzmq's I/O thread blocks, and the whole broker with it. The queue has no limit
        # of its own; its growth is limited by the rate at which the kernel delivers connections.
        reader.setsockopt(zmq.RCVHWM, 0)
        reader.connect(address)
        self.sockets.append(reader)
        self.counts[role] = self._counts_by_socket[reader] = PeerCounts()
        self._poller.register(reader, zmq.POLLIN)

    def run(self) -> None:
        """Count until the context is terminated."""
        while True:
            for socket, _ in self._poller.poll():
                event, value = _EVENT.unpack(socket.recv_multipart()[0])
                self._counts_by_socket[socket].feed(event, value)
