"""`AsyncManager`: makes a `socketio.AsyncServer` a node of a zmqio cluster."""

from collections.abc import Callable
from typing import Any

import socketio

from zmqio.adapter.base import AdapterFactory
from zmqio.buses import make_adapter
from zmqio.config import DEFAULT_ADDRESS, given_options
from zmqio.ids import Sid
from zmqio.python_socketio.async_host import AsyncHost
from zmqio.python_socketio.node import ManagerNode
from zmqio.python_socketio.node_facade import NodeFacade
from zmqio.python_socketio.operations import ClusterOperations
from zmqio.python_socketio.options import split_options
from zmqio.python_socketio.outside import EmitterSource, OutsideOperations
from zmqio.server.health_app import LIVE_PATH, READY_PATH, HealthApp
from zmqio.zeromq.curve import Curve

__all__ = ["AsyncManager"]


class AsyncManager(NodeFacade, socketio.AsyncManager):  # type: ignore[misc]  # python-socketio has no types
    """A client manager of python-socketio over zmqio's broker, in place of `AsyncRedisManager`.

        manager = zmqio.python_socketio.AsyncManager("tcp://127.0.0.1:5555")
        sio = socketio.AsyncServer(async_mode="asgi", client_manager=manager)

    The server is then a node of the cluster, beside other servers of python-socketio and `zmqio.Server` nodes.
    Nothing else in the application changes. The node starts with the first client, the first emit or
    `await manager.start()`, and belongs to that event loop.

    Messages are kept while no broker is reachable (`replay_ring_bytes`, `replay_ring_s`); `sio.emit` raises
    `zmqio.BusError` if one could not be kept.

    Args:
        address: address of the broker or of NATS servers; several are separated by commas.
        write_only: only publish, from a process without a server (Celery, Django, scripts). Such a manager is not
            a node: it can emit, move clients between rooms and disconnect them.
        curve: keys for a broker that requires them; see `zmqio.ZmqAdapter`.
        adapter: for tests: the adapter factory to use instead of the broker.
        **options: the fields of `zmqio.config.ManagerOptions` and `zmqio.config.BusOptions`.

    Raises:
        ConfigError: an address, an option or a key is invalid.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        write_only: bool = False,
        curve: Curve | None = None,
        adapter: AdapterFactory | None = None,
        **options: Any,
    ) -> None:
        own, bus = split_options("AsyncManager", options)
        super().__init__(own, write_only=write_only)
        factory = adapter or make_adapter(address, curve=curve, **given_options(bus))
        self._node = ManagerNode(factory, self._runtime, self._make_sockets)
        self._host = AsyncHost(self, self._node)
        self._cluster = ClusterOperations(self, self._node, self._runtime, self._host)
        self._outside = OutsideOperations(EmitterSource(address, bus, curve).async_emitter)

    # Additions to the interface of python-socketio's managers.

    async def start(self) -> None:
        """Join the other nodes now, for example in `socketio.ASGIApp(sio, on_startup=manager.start)`."""
        await self._node.start()

    async def close(self) -> None:
        """Leave the other nodes, for example in `socketio.ASGIApp(sio, on_shutdown=manager.close)`."""
        await self._node.close()

    def health_app(self, *, details: bool = False) -> HealthApp:
        """Return an ASGI app with `/healthz` and `/readyz`; see `zmqio.Server.health_app`."""
        return HealthApp(self.health, live_path=LIVE_PATH, ready_path=READY_PATH, details=details)

    # The interface of a manager, as `socketio.AsyncServer` calls it.

    def initialize(self) -> None:
        """Start the node; called by the server with its first client."""
        super().initialize()
        self._node.tasks.spawn(self._node.start())

    async def pre_connect(self, eio_sid: str, namespace: str) -> Sid | None:
        """Register a client that asks to join a namespace."""
        return await self._cluster.pre_connect(eio_sid, namespace)

    async def connect(self, sid: str, namespace: str) -> Sid | None:
        """Mark a client as connected, or disconnect it if it has gone while its connect handler ran."""
        return await self._cluster.connect(sid, namespace)

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str | None = None,
        room: Any = None,
        skip_sid: Any = None,
        callback: Callable[..., Any] | None = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        """Send an event to clients of every node. See `ClusterOperations.emit` for the errors."""
        room = to or room
        if self.write_only:
            await self._outside.emit(event, data, namespace, room=room, skip_sid=skip_sid, callback=callback)
            return
        local = bool(kwargs.get("ignore_queue"))
        await self._cluster.emit(
            event, data, namespace, room=room, skip_sid=skip_sid, callback=callback, local=local
        )

    async def can_disconnect(self, sid: Sid, namespace: str) -> bool:
        """Whether this process has to disconnect the client; one of another node is disconnected there."""
        return await self._cluster.can_disconnect(sid, namespace)

    async def disconnect(self, sid: Sid, namespace: str | None, **kwargs: Any) -> None:
        """Disconnect a client of any node; with `ignore_queue`, forget one of this process."""
        if kwargs.get("ignore_queue"):
            self._cluster.forget(sid, namespace or "/")
        elif self.write_only:
            await self._outside.disconnect(sid, namespace)
        else:
            await self._cluster.disconnect(sid, namespace)

    async def enter_room(self, sid: Sid, namespace: str | None, room: Any, eio_sid: str | None = None) -> None:
        """Put a client of any node in a room."""
        await (self._outside if self.write_only else self._cluster).enter_room(sid, namespace, room)

    async def leave_room(self, sid: Sid, namespace: str | None, room: Any) -> None:
        """Take a client of any node out of a room."""
        await (self._outside if self.write_only else self._cluster).leave_room(sid, namespace, room)

    async def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Take every client of every node out of a room."""
        await (self._outside if self.write_only else self._cluster).close_room(room, namespace)
