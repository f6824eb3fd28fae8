"""`Manager`: makes a `socketio.Server` in threading mode, or Flask-SocketIO, a node of a zmqio cluster."""

import atexit
import sys
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import socketio

from zmqio.adapter.base import AdapterFactory
from zmqio.buses import make_adapter
from zmqio.config import DEFAULT_ADDRESS, given_options
from zmqio.exceptions import ConfigError
from zmqio.ids import Sid
from zmqio.python_socketio.loop_thread import LoopThread
from zmqio.python_socketio.node import ManagerNode
from zmqio.python_socketio.node_facade import NodeFacade
from zmqio.python_socketio.operations import ClusterOperations
from zmqio.python_socketio.options import split_options
from zmqio.python_socketio.outside import EmitterSource, OutsideOperations
from zmqio.python_socketio.threaded_host import ThreadedHost
from zmqio.zeromq.curve import Curve

__all__ = ["Manager"]

Result = TypeVar("Result")

CLOSE_LIMIT_S = 5.0
"""Seconds that the goodbye at exit may take."""


class Manager(NodeFacade, socketio.Manager):  # type: ignore[misc]  # python-socketio has no types
    """A client manager of python-socketio over zmqio's broker, in place of `RedisManager`.

        manager = zmqio.python_socketio.Manager("tcp://127.0.0.1:5555")
        sio = socketio.Server(async_mode="threading", client_manager=manager)
        sio = flask_socketio.SocketIO(app, async_mode="threading", client_manager=manager)

    The server is then a node of the cluster, beside other servers of python-socketio and `zmqio.Server` nodes. The
    node runs on an event loop in a thread of its own, which starts with the first client, the first emit or
    `manager.start()`, and again in a forked child.

    Args:
        address: address of the broker or of NATS servers; several are separated by commas.
        write_only: only publish, from a process without a server (Celery, Django, scripts). Such a manager is not
            a node and has no thread: it can emit, move clients between rooms and disconnect them.
        curve: keys for a broker that requires them; see `zmqio.ZmqAdapter`.
        adapter: makes the adapter factory, in place of `address`.
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
        adapter: Callable[[], AdapterFactory] | None = None,
        **options: Any,
    ) -> None:
        own, bus = split_options("Manager", options)
        super().__init__(own, write_only=write_only)
        self._make_factory = adapter or (lambda: make_adapter(address, curve=curve, **given_options(bus)))
        self._thread = LoopThread("zmqio-node", self._reset)
        self._node = ManagerNode(
            self._make_factory(), self._runtime, self._make_sockets, close_at_exit=self._close_at_exit
        )
        self._host = ThreadedHost(self, self._node, self._thread)
        self._cluster = ClusterOperations(self, self._node, self._runtime, self._host)
        self._outside = OutsideOperations(EmitterSource(address, bus, curve).emitter)

    # Additions to the interface of python-socketio's managers.

    def start(self) -> None:
        """Join the other nodes now."""
        self._thread.run(self._node.start())

    def close(self) -> None:
        """Leave the other nodes. The next use of the manager starts another node."""
        if self._thread.running:
            self._thread.run(self._node.close())
            self._thread.stop()

    def run(self, work: Coroutine[Any, Any, Result], timeout: float | None = None) -> Result:
        """Run an operation from any thread: `manager.run(manager.cluster().to("lobby").fetch_sockets())`.

        Args:
            work: the operation.
            timeout: seconds to wait; None waits for as long as the operation takes.

        Raises:
            RuntimeError: the caller runs in the node's thread, for example in a function of `on_node`.
            TimeoutError: it did not end within `timeout`.
        """
        return self._thread.run(work, timeout)

    # The interface of a manager, as `socketio.Server` calls it.

    def set_server(self, server: Any) -> None:
        """Serve the clients of a server; called by it. Raises ConfigError, also for eventlet and gevent."""
        if not self.write_only:
            check_threads(server.eio.async_mode)
        super().set_server(server)

    def initialize(self) -> None:
        """Start the node; called by the server with its first client."""
        super().initialize()
        self._thread.run(self._node.start())

    def pre_connect(self, eio_sid: str, namespace: str) -> Sid | None:
        """Register a client that asks to join a namespace."""
        return self._thread.run(self._cluster.pre_connect(eio_sid, namespace))

    def connect(self, sid: str, namespace: str) -> Sid | None:
        """Mark a client as connected, or disconnect it if it has gone while its connect handler ran."""
        return self._thread.run(self._cluster.connect(sid, namespace))

    def emit(
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
            self._outside.emit(event, data, namespace, room=room, skip_sid=skip_sid, callback=callback)
            return
        local = bool(kwargs.get("ignore_queue"))
        work = self._cluster.emit(
            event, data, namespace, room=room, skip_sid=skip_sid, callback=callback, local=local
        )
        self._thread.run(work)

    def can_disconnect(self, sid: Sid, namespace: str) -> bool:
        """Whether this process has to disconnect the client; one of another node is disconnected there."""
        return self._thread.run(self._cluster.can_disconnect(sid, namespace))

    def disconnect(self, sid: Sid, namespace: str | None, **kwargs: Any) -> None:
        """Disconnect a client of any node; with `ignore_queue`, forget one of this process."""
        if kwargs.get("ignore_queue"):
            self._thread.call(self._cluster.forget, sid, namespace or "/")
        elif self.write_only:
            self._outside.disconnect(sid, namespace)
        else:
            self._thread.run(self._cluster.disconnect(sid, namespace))

    def enter_room(self, sid: Sid, namespace: str | None, room: Any, eio_sid: str | None = None) -> None:
        """Put a client of any node in a room."""
        if self.write_only:
            self._outside.enter_room(sid, namespace, room)
        else:
            self._thread.run(self._cluster.enter_room(sid, namespace, room))

    def leave_room(self, sid: Sid, namespace: str | None, room: Any) -> None:
        """Take a client of any node out of a room."""
        if self.write_only:
            self._outside.leave_room(sid, namespace, room)
        else:
            self._thread.run(self._cluster.leave_room(sid, namespace, room))

    def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Take every client of every node out of a room."""
        if self.write_only:
            self._outside.close_room(room, namespace)
        else:
            self._thread.run(self._cluster.close_room(room, namespace))

    def get_rooms(self, sid: str, namespace: str) -> list[Any]:
        """Return the rooms of a client of this process; read where they change."""
        return self._thread.call(super().get_rooms, sid, namespace)

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Yield the clients of this process in a room."""
        participants = super().get_participants
        yield from self._thread.call(lambda: list(participants(namespace, room)))

    def _reset(self) -> None:
        """Become a node of its own in a forked child, whose parent keeps the former node."""
        self._node.reset(self._make_factory())

    def _close_at_exit(self) -> None:
        """Say goodbye at exit, in the thread of the node."""
        reference = weakref.ref(self)

        def at_exit() -> None:
            manager = reference()
            if manager is not None and manager._thread.running:
                manager._thread.run(manager._node.close(), CLOSE_LIMIT_S)

        atexit.register(at_exit)


def check_threads(async_mode: str) -> None:
    """Check that the server runs in threads.

    Raises:
        ConfigError: it runs on eventlet or gevent.
    """
    patched = "gevent" if _is_patched_by_gevent() else "eventlet" if _is_patched_by_eventlet() else ""
    if async_mode != "threading" or patched:
        green = f" with {patched} monkey-patching" if patched else ""
        raise ConfigError(
            f'async_mode={async_mode!r}{green} cannot be a node of zmqio: use `async_mode="threading"` without '
            'monkey-patching (Flask-SocketIO: `SocketIO(app, async_mode="threading", client_manager=...)`), or '
            "`socketio.AsyncServer` with `AsyncManager`. A process on eventlet or gevent can only publish: "
            "`Manager(..., write_only=True)`"
        )


def _is_patched_by_gevent() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _is_patched_by_eventlet() -> bool:
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))
