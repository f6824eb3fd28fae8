"""A small broker that can be made to misbehave: a Python loop in a thread, on loopback ports.

For the tests of one link; everything about the real broker is tested with the real one (tests/e2e).
"""

import contextlib
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import msgpack
import zmq

from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S
from zmqio.zeromq.flush_check import FLUSH_PREFIX

__all__ = ["LoopbackBroker", "running_broker"]


class LoopbackBroker:
    """All endpoints of one broker.

    Attributes:
        address: base address, for `ZmqBus`.
        answers: whether subscribe barriers are acknowledged.
        takes_all: whether it subscribes to everything at the publishers.
        confirms: whether flush messages are confirmed.
        epoch: 8 bytes, of this run.
        asked: the received sync topics.
        flushed: tokens of the received flush messages.
        version_checks: identities of the nodes that asked for the version.
        subscription_bytes: the limit of what a node sends at once in its answers to them.
        topic_bytes: the limit of all topics in its answers to them; None to answer later.
    """

    def __init__(
        self,
        base_port: int,
        *,
        answers: bool = True,
        takes_all: bool = True,
        confirms: bool = True,
        subscription_bytes: int = 1 << 20,
        topic_bytes: int | None = 16 << 20,
    ) -> None:
        self.address = f"tcp://127.0.0.1:{base_port}"
        self.answers = answers
        self.takes_all = takes_all
        self.confirms = confirms
        self.epoch = secrets.token_bytes(8)
        self.asked: list[bytes] = []
        self.subscribed: list[bytes] = []
        self.pushed: list[bytes] = []
        self.flushed: set[bytes] = set()
        self.subscription_bytes = subscription_bytes
        self.topic_bytes = topic_bytes
        self.version_checks: list[bytes] = []
        self._answered = 0
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
        assert self._ready.wait(LIMIT_S)

    def stop(self) -> None:
        """Close all sockets without notice, as a killed broker would; it may be started again."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join(LIMIT_S)
            self._thread = None

    def _run(self) -> None:
        with zmq.Context() as context:
            kinds = (zmq.ROUTER, zmq.XSUB, zmq.XPUB, zmq.PULL)
            sockets = control, publish, subscribe, ingest = [context.socket(kind) for kind in kinds]
            for offset, socket in enumerate(sockets):
                socket.setsockopt(zmq.SNDHWM, 0)
                socket.setsockopt(zmq.RCVHWM, 0)
                socket.setsockopt(zmq.LINGER, 0)
                socket.bind(f"tcp://127.0.0.1:{self._base_port + offset}")
            if self.takes_all:
                publish.send(b"\x01")
            self._ready.set()
            poller = zmq.Poller()
            for socket in sockets:
                poller.register(socket, zmq.POLLIN)
            while not self._stop.is_set():
                for socket, _ in poller.poll(20):
                    if socket is control:
                        self._answer(control)
                    else:
                        self._turn(socket, publish, subscribe, ingest)
                self._answer_version_checks(control)
            for socket in sockets:
                socket.close()

    def _turn(self, socket, publish, subscribe, ingest) -> None:  # type: ignore[no-untyped-def]
        frames = socket.recv_multipart()
        if socket is publish:
            subscribe.send_multipart(frames)
        elif socket is ingest:
            if frames[0].startswith(FLUSH_PREFIX):
                self.flushed.add(frames[0].removeprefix(FLUSH_PREFIX))
            else:
                self.pushed.append(frames[0])
                subscribe.send_multipart(frames)
        else:
            self._subscription(frames[0], subscribe)

    def _answer(self, control: zmq.Socket[bytes]) -> None:
        identity, *_, body = control.recv_multipart()
        request = msgpack.unpackb(body)
        if request["op"] == "hello":
            self.version_checks.append(identity)
            return
        flushed = request.get("token") in self.flushed
        answer = {"version": 1, "id": request.get("id"), "flushed": flushed and self.confirms}
        control.send_multipart([identity, msgpack.packb(answer)])

    def _answer_version_checks(self, control: zmq.Socket[bytes]) -> None:
        if self.topic_bytes is None:
            return
        limits = {"subscription_bytes": self.subscription_bytes, "topic_bytes": self.topic_bytes}
        answer = msgpack.packb({"version": 1, **limits})
        for identity in self.version_checks[self._answered :]:
            control.send_multipart([identity, answer])
        self._answered = len(self.version_checks)

    def _subscription(self, frame: bytes, subscribe: zmq.Socket[bytes]) -> None:
        if frame[:1] != b"\x01" or frame.startswith(b"\x01\xffgone-"):
            return
        if not frame.startswith(b"\x01\xffsync-"):
            self.subscribed.append(frame[1:])
            return
        self.asked.append(frame[1:])
        if self.answers:
            subscribe.send(frame[1:] + self.epoch)


@contextlib.contextmanager
def running_broker(**options: Any) -> Iterator[LoopbackBroker]:
    """A started broker on free ports."""
    broker = LoopbackBroker(free_port_block(4), **options)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
