"""The part that `AsyncManager` and `Manager` have in common: the node, as applications see it."""

from collections.abc import Callable
from typing import Any

from zmqio.adapter.base import Health
from zmqio.config import ManagerOptions
from zmqio.exceptions import ConfigError
from zmqio.python_socketio.host import ServerHost
from zmqio.python_socketio.namespace import ManagerNamespace, ManagerRuntime
from zmqio.python_socketio.node import ManagerNode
from zmqio.python_socketio.operations import ClusterOperations
from zmqio.python_socketio.parsers import parser_of
from zmqio.python_socketio.sockets import ManagerSockets

__all__ = ["NodeFacade"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class NodeFacade:
    """Mixin of a manager; before python-socketio's class in the list of bases.

    A subclass sets `_node`, `_host` and `_cluster` when it is created.

    Attributes:
        write_only: whether the manager only publishes.
        pending_connect: namespace -> clients whose connect handler runs.
    """

    _node: ManagerNode
    _host: ServerHost
    _cluster: ClusterOperations

    def __init__(self, options: ManagerOptions, *, write_only: bool) -> None:
        super().__init__()
        self.pending_connect: dict[str, list[str]] = {}  # python-socketio has it from 5.18 on
        self.write_only = write_only
        self._runtime = ManagerRuntime(options)

    # Additions to the interface of python-socketio's managers.

    def cluster(self, namespace: str = "/") -> ManagerNamespace:
        """Return zmqio's operations on a namespace: `await manager.cluster().to("lobby").fetch_sockets()`.

        They reach every node: `to`, `except_`, `volatile`, `local`, `emit`, `emit_with_ack`, `fetch_sockets`,
        `sockets_join`, `sockets_leave`, `disconnect_sockets`, `server_side_emit`, `rooms`, `server_count`. In
        threads, run them with `Manager.run`.
        """
        return self._node.namespace(namespace)

    def health(self) -> Health:
        """Return whether this process receives the messages of other nodes, and if not, why."""
        return self._node.health()

    def on_node(self, event: str) -> Decorator:
        """Decorate a function that is called in the node's event loop when other nodes join or leave.

        Args:
            event: `joined` or `left`.
        """
        return self._node.listeners.on_node(event)

    def on_bus_gap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function that is called in the node's event loop when messages of another node are lost."""
        return self._node.listeners.on_bus_gap(function)

    # The interface of a manager, as a server of python-socketio calls it.

    def set_server(self, server: Any) -> None:
        """Serve the clients of a server; called by it.

        Raises:
            ConfigError: the manager is write-only, or the server's packets are of an unknown kind.
        """
        if self.write_only:
            raise ConfigError("a server needs a manager that is a node: leave out `write_only=True`")
        super().set_server(server)  # type: ignore[misc]  # of python-socketio's class
        self._runtime.parser = parser_of(server.packet_class)

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        """Whether the connect handler of a client has not ended."""
        return self._cluster.is_pre_connected(sid, namespace)

    def _make_sockets(self, namespace: ManagerNamespace) -> ManagerSockets:
        return ManagerSockets(namespace, self, self._host, self._runtime.parser, self._node.identity.node_id)
