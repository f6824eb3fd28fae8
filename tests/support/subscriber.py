"""A plain SUB socket at a broker, to receive what nodes would receive; synchronous."""

import contextlib
import secrets
import time
from collections.abc import Iterator

import zmq

from tests.support.timing import LIMIT_S
from zmqio.zeromq.curve import LoadedCurve
from zmqio.zeromq.socket_options import set_connect_options

__all__ = ["Tap", "tap"]

POLL_MS = 50


class Tap:
    """The received messages, in order; created by `tap`."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket

    def take(self, count: int) -> list[bytes]:
        """The next `count` messages, each one frame."""
        frames: list[bytes] = []
        ends_at = time.monotonic() + LIMIT_S
        while len(frames) < count:
            assert time.monotonic() < ends_at, f"{len(frames)} of {count} messages came: {frames[-5:]}"
            if self._socket.poll(POLL_MS):
                frames.append(b"".join(self._socket.recv_multipart()))
        return frames

    def take_until(self, frame: bytes) -> list[bytes]:
        """All messages up to one, without it."""
        frames: list[bytes] = []
        while not frames or frames[-1] != frame:
            frames += self.take(1)
        return frames[:-1]


@contextlib.contextmanager
def tap(subscribe_endpoint: str, topic: bytes = b"", keys: LoadedCurve | None = None) -> Iterator[Tap]:
    """Subscribe to everything that begins with `topic`; the broker has applied it when this begins."""
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        set_connect_options(socket, subscribe_endpoint, keys)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.connect(subscribe_endpoint)
        socket.setsockopt(zmq.SUBSCRIBE, topic)
        sync = b"\xffsync-" + secrets.token_bytes(16)
        socket.setsockopt(zmq.SUBSCRIBE, sync)
        assert socket.poll(int(LIMIT_S * 1000)), f"no acknowledgement from {subscribe_endpoint}"
        assert socket.recv().startswith(sync)
        yield Tap(socket)
