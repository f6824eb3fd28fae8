"""Who connects and leaves, told by libzmq's socket monitors; strangers are counted here.

The thread only counts and never logs: an I/O thread of libzmq must never wait for a terminal.
"""

import struct
from dataclasses import dataclass, field

import zmq

__all__ = ["PeerCounts", "PeerWatch"]

_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_ACCEPT_FAILED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
_EVENT = struct.Struct("=Hi")


@dataclass(slots=True)
class PeerCounts:
    """Connections to one endpoint since the broker started.

    Attributes:
        joined: connections that spoke ZMTP to the end of the handshake.
        left: those of them that have ended; also a sender whose message was over the limit.
        rejected: connections that ended before: strangers (HTTP, TLS, scanners), a socket of the wrong type, or a
            peer that gave up meanwhile.
        not_accepted: connections that could not be accepted, for example for want of file descriptors.
    """

    joined: int = 0
    left: int = 0
    rejected: int = 0
    not_accepted: int = 0
    _handshaking: dict[int, None] = field(default_factory=dict)

    @property
    def connected(self) -> int:
        """How many are connected now."""
        return self.joined - self.left

    def feed(self, event: int, value: int) -> None:
        """Take one monitor event; `value` is the file descriptor of ACCEPTED and DISCONNECTED.

        HANDSHAKE_SUCCEEDED names none, so it is taken for the connection that has waited longest: while
        handshakes overlap, a stranger and a peer can be told apart only when both have left.
        """
        if event == zmq.EVENT_ACCEPTED:
            self._handshaking[value] = None
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.joined += 1
            self._handshaking.pop(next(iter(self._handshaking), -1), None)
        elif event == zmq.EVENT_ACCEPT_FAILED:
            self.not_accepted += 1
        elif event == zmq.EVENT_DISCONNECTED:
            self._end(value)

    def _end(self, descriptor: int) -> None:
        if descriptor in self._handshaking:
            del self._handshaking[descriptor]
            self.rejected += 1
        else:
            self.left += 1


class PeerWatch:
    """Reads the monitors of several sockets.

    Attributes:
        counts: by role; written by the thread that runs `run`, read by others.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.counts: dict[str, PeerCounts] = {}
        self.sockets: list[zmq.Socket[bytes]] = []
        self._context = context
        self._poller = zmq.Poller()
        self._counts_of: dict[zmq.Socket[bytes], PeerCounts] = {}

    def add(self, role: str, socket: zmq.Socket[bytes]) -> None:
        """Watch `socket`; to be called before it is bound, so that no event is missed."""
        address = f"inproc://monitor-{role}"
        socket.monitor(address, _EVENTS)
        reader = self._context.socket(zmq.PAIR)
        reader.setsockopt(zmq.LINGER, 0)
        # libzmq's I/O thread waits when this queue is full, and the whole broker with it. What is in it is bounded
        # by the rate at which the kernel gives connections.
        reader.setsockopt(zmq.RCVHWM, 0)
        reader.connect(address)
        self.sockets.append(reader)
        self.counts[role] = self._counts_of[reader] = PeerCounts()
        self._poller.register(reader, zmq.POLLIN)

    def run(self) -> None:
        """Count until the context is terminated."""
        while True:
            for socket, _ in self._poller.poll():
                event, value = _EVENT.unpack(socket.recv_multipart()[0])
                self._counts_of[socket].feed(event, value)
