"""A pytest plugin that runs python-socketio's own tests of managers and namespace objects against those of zmqio.

`.ci/peer` fetches its source, which is not kept here, and runs `pytest -p tests.support.peer_tests`. The tests are
not modified. What their mocks stand for is translated: a packet in a client's queue counts as a call of
`server._send_eio_packet`, and a disconnect through the server is carried out.
"""

import asyncio
import threading
import time
from typing import Any

import pytest
import socketio.async_manager
import socketio.async_namespace
import socketio.manager

from tests.support.memory_bus import MemoryNetwork
from tests.support.timing import LIMIT_S, wait_until
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.compat import AsyncNamespace
from zmqio.python_socketio import AsyncManager, Manager

__all__ = ["INNER"]

INNER = {
    "test_emit_to_rooms": "expects an order among the clients that an event is written to",
    "test_emit_with_callback": "asks for a callback without a room, and for the names of inner calls",
    "test_enter_room_bad_namespace": "a client that is not in this process may be in another one",
}
"""Tests that are bound to inner names or to a single process, with the reason why they are skipped."""


class _Queue:
    """A client's queue that reports each packet as a call of the server."""

    def __init__(self, eio_sid: str, server: Any) -> None:
        self._eio_sid = eio_sid
        self._server = server

    def qsize(self) -> int:
        """Nothing waits."""
        return 0

    def put_nowait(self, packet: Any) -> None:
        """Report the packet."""
        result = self._server._send_eio_packet(self._eio_sid, packet)
        if asyncio.iscoroutine(result):
            try:
                result.send(None)
            except StopIteration:
                return


class _Socket:
    closed = closing = False

    def __init__(self, eio_sid: str, server: Any) -> None:
        self.sid = eio_sid
        self.queue = _Queue(eio_sid, server)


class _Sockets(dict[str, _Socket]):
    """Makes a client for every Engine.IO id."""

    def __init__(self, server: Any) -> None:
        super().__init__()
        self._server = server

    def get(self, eio_sid: str, default: Any = None) -> Any:
        if eio_sid not in self:
            self[eio_sid] = _Socket(eio_sid, self._server)
        return self[eio_sid]


class _Environ(dict[str, Any]):
    """Knows every client."""

    def __contains__(self, eio_sid: object) -> bool:
        return True


def _complete(server: Any) -> None:
    server.eio.sockets = _Sockets(server)
    server.environ = _Environ()


class _PeerAsyncManager(AsyncManager):
    def __init__(self) -> None:
        network = MemoryNetwork()
        super().__init__(adapter=ClusterAdapterFactory(lambda identity: network.bus()))

    def set_server(self, server: Any) -> None:
        async def disconnect(sid: Any, namespace: str, **options: Any) -> None:
            await self.disconnect(sid, namespace, **options)

        _complete(server)
        server.disconnect = disconnect
        super().set_server(server)

    def initialize(self) -> None:
        """Do nothing: the tests call this outside an event loop."""

    async def disconnect(self, sid: Any, namespace: str | None, **options: Any) -> None:
        await super().disconnect(sid, namespace, **options)
        await wait_until(lambda: self.eio_sid_from_sid(sid, namespace) is None, "the task that disconnects")


class _PeerManager(Manager):
    def __init__(self) -> None:
        network = MemoryNetwork()
        super().__init__(adapter=lambda: ClusterAdapterFactory(lambda identity: network.bus()))

    def set_server(self, server: Any) -> None:
        def start_background_task(function: Any, *args: Any, **options: Any) -> None:
            threading.Thread(target=function, args=args, kwargs=options, daemon=True).start()

        _complete(server)
        server.disconnect = self.disconnect
        server.start_background_task = start_background_task
        server.eio.async_mode = "threading"
        super().set_server(server)

    def disconnect(self, sid: Any, namespace: str | None, **options: Any) -> None:
        super().disconnect(sid, namespace, **options)
        ends_at = time.monotonic() + LIMIT_S
        while not options and self.eio_sid_from_sid(sid, namespace) is not None:  # it runs in a thread
            assert time.monotonic() < ends_at
            time.sleep(0.001)


class _PeerNamespace(AsyncNamespace):
    def _set_server(self, server: Any) -> None:
        self.attached(server)


def pytest_configure() -> None:
    """Let their tests make our objects."""
    socketio.async_namespace.AsyncNamespace = _PeerNamespace
    socketio.async_manager.AsyncManager = _PeerAsyncManager
    socketio.manager.Manager = _PeerManager


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is bound to inner names."""
    for item in items:
        reason = INNER.get(item.name)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
