"""A small broker that can be made to misbehave: a Python loop in a thread, on loopback ports.

For the tests of one link; everything about the real broker is tested with the real one (tests/e2e).
"""

import contextlib
import secrets
import threading
from collections.abc import Iterator

import zmq

from tests.support.ports import free_port_block

__all__ = ["LoopbackBroker", "running_broker"]


class LoopbackBroker:
    """XSUB, XPUB and PULL of one broker; control is not served.

    Attributes:
        address: base address, for `ZmqBus`.
        answers: whether subscribe barriers are acknowledged.
        takes_all: whether it subscribes to everything at the publishers.
        epoch: 8 bytes, of this run.
        asked: the received sync topics.
    """

    def __init__(self, base_port: int, *, answers: bool = True, takes_all: bool = True) -> None:
        self.address = f"tcp://127.0.0.1:{base_port}"
        self.answers = answers
        self.takes_all = takes_all
        self.epoch = secrets.token_bytes(8)
        self.asked: list[bytes] = []
        self.subscribed: list[bytes] = []
        self.pushed: list[bytes] = []
        self._base_port = base_port
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind and run; returns when bound."""
        self._stop.clear()
        self._ready.clear()
        self.epoch = secrets.token_bytes(8)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        """Close all sockets without notice, as a killed broker would; it may be started again."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join(10)
            self._thread = None

    def _run(self) -> None:
        with zmq.Context() as context:
            publish, subscribe, ingest = (context.socket(kind) for kind in (zmq.XSUB, zmq.XPUB, zmq.PULL))
            for offset, socket in enumerate((publish, subscribe, ingest), start=1):
                socket.setsockopt(zmq.SNDHWM, 0)
                socket.setsockopt(zmq.RCVHWM, 0)
                socket.setsockopt(zmq.LINGER, 0)
                socket.bind(f"tcp://127.0.0.1:{self._base_port + offset}")
            if self.takes_all:
                publish.send(b"\x01")
            self._ready.set()
            poller = zmq.Poller()
            for socket in (publish, subscribe, ingest):
                poller.register(socket, zmq.POLLIN)
            while not self._stop.is_set():
                for socket, _ in poller.poll(20):
                    self._turn(socket, publish, subscribe, ingest)
            for socket in (publish, subscribe, ingest):
                socket.close()

    def _turn(self, socket, publish, subscribe, ingest) -> None:  # type: ignore[no-untyped-def]
        frames = socket.recv_multipart()
        if socket is publish:
            subscribe.send_multipart(frames)
        elif socket is ingest:
            self.pushed.append(frames[0])
            subscribe.send_multipart(frames)
        else:
            self._subscription(frames[0], subscribe)

    def _subscription(self, frame: bytes, subscribe: zmq.Socket[bytes]) -> None:
        if frame[:1] != b"\x01":
            return
        if not frame.startswith(b"\x01\xffsync-"):
            self.subscribed.append(frame[1:])
            return
        self.asked.append(frame[1:])
        if self.answers:
            subscribe.send(frame[1:] + self.epoch)


@contextlib.contextmanager
def running_broker(**options: bool) -> Iterator[LoopbackBroker]:
    """A started broker on free ports."""
    broker = LoopbackBroker(free_port_block(4), **options)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
