"""One namespace of a manager: its adapter, and zmqio's operations on its clients on every node."""

import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from zmqio.adapter.base import Adapter
from zmqio.config import ManagerOptions
from zmqio.protocol.parser import JsonParser, Parser
from zmqio.python_socketio.sockets import ManagerSockets
from zmqio.server.listeners import Listeners
from zmqio.server.operations import Operations

__all__ = ["ManagerNamespace", "ManagerRuntime"]

NOT_STARTED = "namespace {!r} has not started: `await manager.start()` first"

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(slots=True)
class ManagerRuntime:
    """The parts that all namespaces of one manager share.

    Attributes:
        options: limits.
        parser: encodes events; that of the server once the server is known.
        tracing: None, because the spans of these servers are not those of zmqio.
    """

    options: ManagerOptions
    parser: Parser = field(default_factory=JsonParser)
    tracing: None = None

    def note_tuple(self, event: str, args: Sequence[Any]) -> None:
        """Do nothing."""


class ManagerNamespace(Operations):
    """Operations on the clients of one namespace, on every node: `manager.cluster("/chat").fetch_sockets()`.

    They reach clients of python-socketio nodes and of `zmqio.Server` nodes alike.

    Args:
        name: begins with `/`.
        runtime: the shared parts.
        open_: opens this namespace on the first use.

    Attributes:
        listeners: functions for server-side events of other nodes.
        thread_id: the thread of the node's event loop; 0 until the namespace is open.
    """

    def __init__(
        self, name: str, runtime: ManagerRuntime, open_: Callable[["ManagerNamespace"], Awaitable[None]]
    ) -> None:
        super().__init__(self)
        self.name = name
        self.runtime = runtime
        self.listeners = Listeners(name)
        self.thread_id = 0
        self._open = open_
        self._adapter: Adapter | None = None
        self._sockets: ManagerSockets | None = None

    def __repr__(self) -> str:
        return f"<ManagerNamespace {self.name}>"

    @property
    def adapter(self) -> Adapter:
        """Rooms and the other nodes.

        Raises:
            RuntimeError: the namespace has not been used yet.
        """
        if self._adapter is None:
            raise RuntimeError(NOT_STARTED.format(self.name))
        return self._adapter

    @property
    def sockets(self) -> ManagerSockets:
        """The clients of this process. Raises as `adapter`."""
        if self._sockets is None:
            raise RuntimeError(NOT_STARTED.format(self.name))
        return self._sockets

    @property
    def occupied(self) -> bool:
        """Whether the namespace has a client in this process."""
        return self._sockets is not None and bool(self._sockets.connections)

    @property
    def is_open(self) -> bool:
        """Whether the namespace takes part in the cluster."""
        return self._adapter is not None

    async def ready(self) -> None:
        """Start the node and open the namespace, unless that has happened.

        Raises:
            RuntimeError: the node runs in another event loop than the caller.
        """
        if self._adapter is None:
            await self._open(self)
        elif threading.get_ident() != self.thread_id:
            raise RuntimeError(
                "the manager's node runs in another thread than the caller; from there, use a manager with "
                "`write_only=True`, `zmqio.Emitter` or `asyncio.run_coroutine_threadsafe`"
            )

    def opened(self, adapter: Adapter, sockets: ManagerSockets) -> None:
        """Use `adapter` from now on."""
        self._adapter = adapter
        self._sockets = sockets
        self.thread_id = threading.get_ident()

    def closed(self) -> None:
        """Open again on the next use."""
        self._adapter = self._sockets = None

    def on_server_side(self, event: str) -> Callable[[Function], Function]:
        """Decorate the function that handles `server_side_emit` of other nodes; it may return a response.

        Args:
            event: the name of the event.
        """
        return self.listeners.on_server_side(event)
