"""The data path: two C proxies, so that no message passes through Python.

publish (XSUB) -> subscribe (XPUB), and ingest (PULL) -> PUSH -> the same XSUB. The proxies count frames and never
read their content. Measured at 64 bytes: 1.4-1.7 million messages a second at 0.55 us of CPU each; the best loop
in Python reached 222,000 a second at 5.9 us.
"""

import struct
from dataclasses import dataclass

import zmq

from zmqio_broker.threads import SocketThread

__all__ = ["ProxyCounts", "ProxyMeter", "proxy_thread"]

_COUNTER_FRAMES = 8
# The proxy answers between two bursts of at most 1,000 frames, so within milliseconds.
_STATISTICS_TIMEOUT_MS = 500


@dataclass(frozen=True, slots=True)
class ProxyCounts:
    """Frames and bytes that a proxy has forwarded since it started, before fan-out.

    Attributes:
        frames_in: frames received from the frontend (publishers, outside senders).
        bytes_in: bytes in these frames.
        frames_out: frames sent to the backend; each counts once, however many nodes receive it.
        bytes_out: bytes in these frames.
        frames_upstream: frames received from the backend, that is, changes of subscriptions.
    """

    frames_in: int = 0
    bytes_in: int = 0
    frames_out: int = 0
    bytes_out: int = 0
    frames_upstream: int = 0


class ProxyMeter:
    """Reads the counters of one proxy. Use it from one thread only, like its socket."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str) -> None:
        self.socket = context.socket(zmq.PAIR)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(address)
        self._last = ProxyCounts()

    def read(self) -> ProxyCounts:
        """Return the counters; the previous ones if the proxy does not answer within 0.5 s."""
        while self.socket.poll(0):
            self.socket.recv_multipart()  # the late response to an earlier request
        self.socket.send(b"STATISTICS", zmq.NOBLOCK)
        if self.socket.poll(_STATISTICS_TIMEOUT_MS):
            self._last = _parse_counters(self.socket.recv_multipart())
        return self._last


def proxy_thread(
    name: str,
    frontend: zmq.Socket[bytes],
    backend: zmq.Socket[bytes],
) -> tuple[SocketThread, ProxyMeter]:
    """Make a thread that forwards between two sockets in C, and a meter that reads its counters.

    Args:
        name: name of the thread, unique in the process.
        frontend: socket that messages are received from.
        backend: socket that messages are sent to and subscriptions are received from.
    """
    context = frontend.context
    address = f"inproc://meter-{name}"
    control = context.socket(zmq.PAIR)
    control.setsockopt(zmq.LINGER, 0)
    control.bind(address)

    def forward() -> None:
        zmq.proxy_steerable(frontend, backend, None, control)

    return SocketThread(name, forward, [frontend, backend, control]), ProxyMeter(context, address)


def _parse_counters(frames: list[bytes]) -> ProxyCounts:
    """Parse eight unsigned 64-bit counters in host byte order, frontend first. Source: zmq_proxy_steerable(3)."""
    if len(frames) != _COUNTER_FRAMES:
        raise ValueError(f"libzmq answered STATISTICS with {len(frames)} frames instead of {_COUNTER_FRAMES}")
    values = [struct.unpack("=Q", frame)[0] for frame in frames]
    frontend_in, frontend_in_bytes, _, _, backend_in, _, backend_out, backend_out_bytes = values
    return ProxyCounts(frontend_in, frontend_in_bytes, backend_out, backend_out_bytes, backend_in)
