"""The server: namespaces, the engine and the adapter, put together.

It is made at import time and starts later: with the ASGI lifespan, or by itself with the first request or
the first `emit`, so that nothing here touches an event loop or a socket before a worker process has forked.
"""

import asyncio
import atexit
import os
import weakref
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeAlias, TypeVar, overload

import structlog

from zmqio.adapter.base import Adapter, AdapterFactory, Health, Identity
from zmqio.adapter.local import LocalAdapterFactory
from zmqio.config import EngineOptions, ServerOptions, address_from_environment, node_tag_from_environment
from zmqio.exceptions import ConfigError, ServerClosedError
from zmqio.ids import NodeId, make_node_id, make_node_tag, parse_node_tag
from zmqio.protocol.parser import JsonParser, Parser
from zmqio.server.asgi import AsgiApp, AsgiCallable
from zmqio.server.broadcast import Broadcast
from zmqio.server.client import Client
from zmqio.server.host_signals import HostSignals
from zmqio.server.namespace import Namespace
from zmqio.server.namespace_handlers import NamespaceHandlers, register_handlers
from zmqio.server.namespaces import Namespaces
from zmqio.server.operations import Operations
from zmqio.server.parent import ParentNamespace, Rule
from zmqio.server.registry import Registration, Registry
from zmqio.server.runtime import Runtime
from zmqio.server.workers import warn_of_workers
from zmqio.transport.engine import Engine, Request, Session
from zmqio.transport.zmq_adapter import ZmqAdapter

__all__ = ["AdapterSpec", "Server"]

log = structlog.get_logger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])
AdapterSpec: TypeAlias = str | AdapterFactory | Callable[..., Adapter] | None

FROM_ENVIRONMENT = "environment"
SETTLE_LIMIT_S = 0.5
"""How long a start waits for a broker to learn whether its node tag is free; without one it goes on."""
TAG_TRIES = 5
HANDLER_GRACE_S = 5.0
"""How long `close` waits for handlers that run before it cancels them."""


class Server(Registration, Operations):
    """A Socket.IO server: one node of a cluster, or alone.

    Args:
        adapter: how it reaches the other nodes: a broker's address (`"tcp://127.0.0.1:5555"`, several separated
            by commas, `"ipc:///run/zmqio"`), an adapter factory such as `ZmqAdapter(address, **options)`, a
            subclass of `LocalAdapter`, or None for this process only. Left out: what `ZMQIO_ADAPTER` says.
        node_tag: the first 4 characters of every id that is made here; left out: what `ZMQIO_NODE_TAG` says, or
            random ones. Two nodes must not have the same.
        parser: encodes packets; it has to be that of the clients.
        options: every field of `EngineOptions` and `ServerOptions` by its name.

    Raises:
        ConfigError: an option cannot work; it says which and why.
    """

    def __init__(
        self,
        adapter: AdapterSpec = FROM_ENVIRONMENT,
        *,
        node_tag: str | None = None,
        parser: Parser | None = None,
        **options: Any,
    ) -> None:
        self._engine_options, self._options = _sort_options(options)
        self._node_tag = _check_tag(node_tag or node_tag_from_environment())
        self._factory = _make_factory(adapter)
        self._parser: Parser = parser or JsonParser()
        self._namespaces = Namespaces(self._open, self._options)
        self._runtime: Runtime | None = None
        self._starting: asyncio.Lock | None = None
        self._closed = False
        self._closing: asyncio.Future[None] | None = None
        self._signals = HostSignals(self._told_to_stop)
        self._node_listeners: dict[str, list[Callable[..., None]]] = {"joined": [], "left": []}
        self.of("/")

    def __repr__(self) -> str:
        return f"<Server namespaces={sorted(self._namespaces)} running={self.running}>"

    # Set up.

    @overload
    def of(self, name: str) -> Namespace: ...

    @overload
    def of(self, name: Rule) -> ParentNamespace: ...

    def of(self, name: str | Rule) -> Namespace | ParentNamespace:
        """The namespace of that name; it is made when it is not there yet. A missing `/` is put in front.

        Dynamic namespaces: give a pattern (`re.compile(r"^/room-\\d+$")`, searched for in the name), or a function
        `(name, auth)` that says whether there is such a namespace. The result is the parent of all namespaces that
        clients make by connecting to such a name. The same pattern or function gives the same parent; of several
        that allow a name the first decides.
        """
        return self._namespaces.named(name) if isinstance(name, str) else self._namespaces.parent(name)

    @property
    def registry(self) -> Registry:
        """What was registered for the namespace `/`."""
        return self.of("/").registry

    def register(self, name: str | Rule, handlers: NamespaceHandlers) -> None:
        """Let the methods of an object handle the events of a namespace, or of a parent.

        Raises:
            ValueError: an event has a handler already, or the object has none or handles another namespace.
        """
        register_handlers(self.of(name), handlers)

    def on_node(self, event: str) -> Callable[[Function], Function]:
        """Decorate a function that hears of other nodes: `joined(node_id)` or `left(node_id, reason)`."""
        if event not in self._node_listeners:
            raise ValueError(f"{event!r} is no node event; there are 'joined' and 'left'")

        def register(function: Function) -> Function:
            self._node_listeners[event].append(function)
            return function

        return register

    def asgi(self, other_app: AsgiCallable | None = None, *, path: str = "/socket.io") -> AsgiApp:
        """Make the ASGI app.

        Args:
            other_app: an app that gets every request that is not for Socket.IO, lifespan too.
            path: where Socket.IO is served. Mounted in a framework it is served at the mount point itself as
                well, so `app.mount("/socket.io", io.asgi())` does what it says.
        """
        return AsgiApp(self, other_app, path=path)

    # Life.

    @property
    def running(self) -> bool:
        """Whether it has started and was not closed."""
        return self._runtime is not None

    @property
    def node_id(self) -> NodeId:
        """The id of this run of this process.

        Raises:
            RuntimeError: the server has not started.
        """
        return self._started().identity.node_id

    async def start(self) -> None:
        """Start the node; returns without waiting for a broker. Nothing happens when it runs already.

        Raises:
            ConfigError: the configured node tag belongs to another live node.
            RuntimeError: it runs already in another event loop.
        """
        if self._closing is not None:
            await asyncio.shield(self._closing)
        self._closed, self._closing = False, None
        if self._runtime is not None:
            self._runtime.check_loop()
            return
        if self._starting is None:
            self._starting = asyncio.Lock()
        async with self._starting:
            if self._runtime is None:
                await self._start()

    async def close(self) -> None:
        """Disconnect every client (`server shutting down`), say goodbye to the other nodes, and stop.

        Called again it waits for the same end.
        """
        self._closed = True
        if self._starting is not None and self._starting.locked():
            async with self._starting:
                pass  # what is about to run has to be there before it can be closed
        if self._runtime is not None and self._closing is None:
            self._closing = asyncio.ensure_future(self._close(self._runtime, asyncio.current_task()))
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _close(self, runtime: Runtime, caller: "asyncio.Task[Any] | None") -> None:
        self._signals.unwrap()
        await runtime.engine.close("server shutting down")
        # Disconnect handlers still reach the other nodes.
        await runtime.tasks.close(HANDLER_GRACE_S, caller=caller)
        self._runtime = self._starting = None
        for namespace in self._namespaces.values():
            await namespace.close()
        await self._factory.close()
        log.info("node_stopped", node_id=runtime.identity.node_id)

    def health(self) -> Health:
        """Whether this node runs and hears the others, and why not."""
        if self._runtime is None:
            return Health(ready=False, reasons=("the server has not started",))
        return self._factory.health()

    async def __aenter__(self) -> "Server":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # `Operations` on the namespace `/`.

    def broadcast(self) -> Broadcast:
        """An operation that reaches every socket of the namespace `/`."""
        return self.of("/").broadcast()

    async def ready(self) -> None:
        """Start the server, if that has not happened yet.

        Raises:
            ServerClosedError: it was closed.
            RuntimeError: it runs in another event loop.
        """
        if self._runtime is not None:
            self._runtime.check_loop()
            return  # also while it closes: disconnect handlers still reach the other nodes
        if self._closed:
            raise ServerClosedError
        await self.start()

    @property
    def adapter(self) -> Adapter:
        """The adapter of the namespace `/`."""
        return self.of("/").adapter

    @property
    def request_timeout_s(self) -> float:
        """Seconds that answers may take if nothing else is asked for."""
        return self._options.request_timeout_s

    # For the ASGI app and the adapter.

    @property
    def engine(self) -> Engine:
        """The Engine.IO half."""
        return self._started().engine

    def node_joined(self, node_id: NodeId) -> None:
        """Another node is there."""
        self._tell("joined", node_id)

    def node_left(self, node_id: NodeId, reason: str) -> None:
        """Another node is gone."""
        self._tell("left", node_id, reason)

    def _tell(self, event: str, *args: Any) -> None:
        for function in self._node_listeners[event]:
            try:
                function(*args)
            except Exception:
                log.exception("node_listener_failed", event_name=event)

    async def _start(self) -> None:
        identity = await self._join()
        runtime = Runtime(
            options=self._options,
            parser=self._parser,
            identity=identity,
            engine=Engine(self._engine_options, identity.tag, self._accept),
        )
        self._runtime = runtime
        for namespace in self._namespaces.values():
            await namespace.open(runtime, self._factory)
        self._loop = asyncio.get_running_loop()
        self._signals.wrap()
        _say_goodbye_at_exit(self)
        log.info("node_started", node_id=identity.node_id, pid=os.getpid(), adapter=repr(self._factory))
        if isinstance(self._factory, LocalAdapterFactory):
            warn_of_workers()

    async def _join(self) -> Identity:
        """Start the adapter under a tag that no other live node holds."""
        for _ in range(TAG_TRIES):
            tag = self._node_tag or make_node_tag()
            identity = Identity(make_node_id(tag), tag, tag_is_configured=self._node_tag is not None)
            try:
                await self._factory.start(identity, self)
                clash = await self._factory.settled(SETTLE_LIMIT_S)
            except BaseException:  # cancelled, too: the next start must not leave this node on the bus
                await self._factory.close()
                raise
            if clash is None:
                return identity
            log.warning("node_tag_taken", tag=tag, holder=clash.holder, host=clash.host, pid=clash.pid)
            await self._factory.close()
            if self._node_tag is not None:
                raise ConfigError(f"{clash}; give every node a tag of its own (`node_tag`, ZMQIO_NODE_TAG)")
        raise ConfigError(f"{TAG_TRIES} random node tags in a row belong to other nodes: {clash}")

    async def _open(self, namespace: Namespace) -> None:
        await self.ready()
        self._namespaces.present(namespace)
        await namespace.open(self._started(), self._factory)

    def _started(self) -> Runtime:
        if self._runtime is None:
            raise RuntimeError("the server has not started: `await io.start()`, or serve `io.asgi()`")
        return self._runtime

    def _accept(self, session: Session, request: Request) -> Client:
        return Client(session, request, self._started(), self._namespaces.find)

    def _told_to_stop(self) -> None:
        """From a signal handler: begin to close, in the loop."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self.close()))

    def _abandon(self) -> None:
        if self._runtime is not None:
            self._factory.abandon()


def _sort_options(options: dict[str, Any]) -> tuple[EngineOptions, ServerOptions]:
    engine_names = {field.name for field in fields(EngineOptions)}
    server_names = {field.name for field in fields(ServerOptions)}
    unknown = sorted(set(options) - engine_names - server_names)
    if unknown:
        known = ", ".join(sorted(engine_names | server_names))
        raise ConfigError(f"unknown option {', '.join(unknown)}; there are {known}")
    engine = EngineOptions(**{name: value for name, value in options.items() if name in engine_names})
    server = ServerOptions(**{name: value for name, value in options.items() if name in server_names})
    return engine, server


def _check_tag(tag: str | None) -> Any:
    try:
        return None if tag is None else parse_node_tag(tag)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _make_factory(adapter: AdapterSpec) -> AdapterFactory:
    if adapter == FROM_ENVIRONMENT:
        adapter = address_from_environment()
    if adapter is None:
        return LocalAdapterFactory()
    if isinstance(adapter, str):
        return ZmqAdapter(adapter)
    if isinstance(adapter, AdapterFactory):
        return adapter
    if callable(adapter):
        return LocalAdapterFactory(adapter)
    raise ConfigError(
        f"adapter={adapter!r}: give a broker's address, ZmqAdapter(...), a subclass of LocalAdapter, or None"
    )


def _say_goodbye_at_exit(server: Server) -> None:
    """Where the host gives no lifespan, other nodes still hear that this one has gone."""
    reference = weakref.ref(server)
    pid = os.getpid()

    def at_exit() -> None:
        alive = reference()
        if alive is not None and os.getpid() == pid:
            alive._abandon()

    atexit.register(at_exit)
