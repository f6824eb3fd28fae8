"""A threaded server of python-socketio in this process, on a bus in memory; its clients have no transport."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import socketio
from engineio.socket import Socket

from tests.support.memory_bus import MemoryNetwork
from tests.support.psio_harness import ENVIRON
from tests.support.timing import LIMIT_S
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.python_socketio import Manager

__all__ = ["ThreadedServer"]


class ThreadedServer:
    """One `socketio.Server` with a manager of zmqio; for `with`.

    Args:
        options: of `Manager`.

    Attributes:
        sio: the server.
        manager: its manager.
    """

    def __init__(self, **options: Any) -> None:
        network = MemoryNetwork()
        self.manager = Manager(adapter=lambda: ClusterAdapterFactory(lambda identity: network.bus()), **options)
        self.sio: Any = socketio.Server(
            async_mode="threading",
            client_manager=self.manager,
            monitor_clients=False,
            async_handlers=True,
            namespaces=["/", "/chat"],
        )

    def __enter__(self) -> Self:
        self.manager.start()
        self.wait(lambda: self.manager.health().ready, "the node")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.manager.close()

    def connect(self, eio_sid: str, namespace: str = "/") -> str:
        """Connect a client; return its session id, or "" if it was refused."""
        if eio_sid not in self.sio.eio.sockets:
            self.sio.eio.sockets[eio_sid] = Socket(self.sio.eio, eio_sid)
            self.sio._handle_eio_connect(eio_sid, dict(ENVIRON))
        self.say(eio_sid, "0" if namespace == "/" else f"0{namespace},")
        self.packets(eio_sid)
        return self.manager.sid_from_eio_sid(eio_sid, namespace) or ""

    def say(self, eio_sid: str, message: str | bytes) -> None:
        """Receive a message from a client."""
        self.sio._handle_eio_message(eio_sid, message)

    def packets(self, eio_sid: str) -> list[str | bytes]:
        """Take what waits for a client, as it goes over a WebSocket; None of python-engineio is left out."""
        queue = self.sio.eio.sockets[eio_sid].queue
        found = [queue.get_nowait() for _ in range(queue.qsize())]
        return [packet.encode() for packet in found if packet is not None]

    @staticmethod
    def wait(condition: Callable[[], object], what: str) -> None:
        """Wait until `condition()` is true."""
        ends_at = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < ends_at, f"not within {LIMIT_S:g} s: {what}"
            time.sleep(0.01)
