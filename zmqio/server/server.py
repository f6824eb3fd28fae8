"""The server: namespaces, the engine and the adapter, put together.

It is made at import time and starts later: with the ASGI lifespan, or by itself with the first request or
the first `emit`, so that nothing here touches an event loop or a socket before a worker process has forked.
"""

import asyncio
import atexit
import math
import os
import weakref
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeAlias, TypeVar, cast, overload

import structlog

from zmqio.adapter.base import Adapter, AdapterFactory, Health, Identity
from zmqio.adapter.local import LocalAdapterFactory
from zmqio.config import EngineOptions, ServerOptions, address_from_environment, node_tag_from_environment
from zmqio.engine.server import ClientRequest, Engine, Session
from zmqio.exceptions import ConfigError, ServerClosedError
from zmqio.ids import NodeId, make_node_id, make_node_tag, parse_node_tag
from zmqio.protocol.parser import JsonParser, Parser
from zmqio.relay.relay import Relay, join_nodes
from zmqio.server.asgi import AsgiApp, AsgiCallable
from zmqio.server.broadcast import Broadcast
from zmqio.server.client import Client
from zmqio.server.drain import Drain
from zmqio.server.health_app import LIVE_PATH, READY_PATH, HealthApp
from zmqio.server.host_signals import HostSignals
from zmqio.server.namespace import Namespace
from zmqio.server.namespace_handlers import NamespaceHandlers, register_handlers
from zmqio.server.namespaces import Namespaces
from zmqio.server.node_listeners import NodeListeners
from zmqio.server.operations import Operations
from zmqio.server.parent import ParentNamespace, Rule
from zmqio.server.registry import Registration, Registry
from zmqio.server.runtime import Runtime
from zmqio.server.workers import warn_of_workers
from zmqio.zeromq.adapter import ZmqAdapter

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
REASON = "server shutting down"
NOT_STARTED = "the server has not started: it does with the ASGI lifespan, its first request or `await io.start()`"


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
        self._relay: Relay | None = None
        self._starting: asyncio.Lock | None = None
        self._closed = False
        self._closing: asyncio.Future[None] | None = None
        self._drain: Drain | None = None
        self._signals = HostSignals(self._told_to_stop)
        self._node_listeners = NodeListeners()
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
        """Decorate a function that hears of other nodes: `joined(node_id)` or `left(node_id, reason)`.

        Raises:
            ValueError: there is no such event.
        """
        return self._node_listeners.on_node(event)

    def on_bus_gap(self, function: Function) -> Function:
        """Let `function(gap)` hear that messages of another node are lost to this one: a `BusGap`.

        It is called once for each gap, after the bus has given up and before what comes after the gap is
        delivered, so it is the place to tell clients to fetch their state anew.
        """
        return self._node_listeners.on_bus_gap(function)

    def asgi(
        self,
        other_app: AsgiCallable | None = None,
        *,
        path: str = "/socket.io",
        live_path: str | None = LIVE_PATH,
        ready_path: str | None = READY_PATH,
    ) -> AsgiApp:
        """Make the ASGI app.

        Args:
            other_app: an app that gets every request that is not for Socket.IO, lifespan too.
            path: where Socket.IO is served. Mounted in a framework it is served at the mount point itself as
                well, so `app.mount("/socket.io", io.asgi())` does what it says.
            live_path, ready_path: where the health routes are (see `health_app`), before those of `other_app` and
                below a mount point; None: nowhere.
        """
        health = self.health_app(live_path=live_path, ready_path=ready_path)
        return AsgiApp(self, other_app, path=path, health=health)

    def health_app(self, *, live_path: str | None = LIVE_PATH, ready_path: str | None = READY_PATH) -> HealthApp:
        """Make an ASGI app of the health routes alone, to be mounted where `io.asgi()` is not at the top.

        The live path answers 200 as long as the event loop turns. The ready path answers 200 when `health()` is
        ready, else 503 and why: while no broker is heard, while the server shuts down, and before it has started,
        which a probe does not do. A framework that mounts `io.asgi()` tells it of no lifespan, so
        `await io.start()` in the framework's own.
        """
        return HealthApp(self.health, live_path=live_path, ready_path=ready_path)

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

    async def close(self, drain_s: float | None = None) -> None:
        """Let the clients go (`server shutting down`), say goodbye to the other nodes, and stop.

        1. New sessions are answered with 503 and `health` is red. Those that are there are served as before, and
           this node stays a full member of the cluster: its clients miss nothing, and others count them.
        2. Clients are let go one after the other, evenly and with jitter, over `drain_s` seconds. Their connection
           is closed, without a DISCONNECT packet, so official clients connect again by themselves.
        3. Handlers that still run, those of `disconnect` too, are awaited: what they emit reaches the others.
        4. The goodbye is the last message of this node: once it has come back from the broker everything before
           it has left, and nobody waits for an answer of this node any more.

        Where nothing hangs it takes `drain_s`, or less if all clients go earlier. Clients that do not fetch what
        waits for them, handlers that do not end and a broker that does not answer add 20 s at most.

        Called again it waits for the same end. With `drain_s=0`, or when a call that waits is cancelled, the
        clients that are left are let go at once.

        Args:
            drain_s: seconds over which clients are let go; 0: all at once. Left out: the option `drain_s`.

        Raises:
            ValueError: `drain_s` is negative, or no number.
        """
        over_s = self._options.drain_s if drain_s is None else drain_s
        if not 0 <= over_s < math.inf:
            raise ValueError(f"drain_s={drain_s!r} has to be 0 or a number of seconds")
        self._closed = True
        if self._starting is not None and self._starting.locked():
            async with self._starting:
                pass  # what is about to run has to be there before it can be closed
        self._begin_to_close(over_s, asyncio.current_task())
        if drain_s == 0:
            self._hurry()
        if self._closing is not None:
            try:
                await asyncio.shield(self._closing)
            except asyncio.CancelledError:
                self._hurry()
                raise

    def _begin_to_close(self, drain_s: float, caller: "asyncio.Task[Any] | None" = None) -> None:
        self._closed = True
        runtime = self._runtime
        if runtime is None or self._closing is not None:
            return
        if drain_s > 0:
            runtime.engine.stop_accepting()
            # Who made the sessions says what hears them: `_accept`.
            clients = [cast(Client, session.events) for session in runtime.engine.sessions.values()]
            self._drain = Drain(clients, drain_s)
            log.info("drain_started", clients=len(clients), drain_s=drain_s)
        self._closing = asyncio.ensure_future(self._close(runtime, self._drain, caller))

    async def _close(self, runtime: Runtime, drain: Drain | None, caller: "asyncio.Task[Any] | None") -> None:
        try:
            if drain is not None:
                await drain.run(REASON, runtime.engine.emptied())
                self._drain = None
                log.info("drain_ended", clients_left=len(runtime.engine.sessions))
            relay, self._relay = self._relay, None
            if relay is not None:
                relay.leave()
            await runtime.engine.close(REASON)
            if relay is not None:
                await relay.close()
            # Disconnect handlers still reach the other nodes.
            await asyncio.gather(
                runtime.tasks.close(HANDLER_GRACE_S, caller=caller),
                self._node_listeners.close(HANDLER_GRACE_S, caller=caller),
            )
            self._runtime = self._starting = None
            for namespace in self._namespaces.values():
                await namespace.close()
            await self._factory.close()
            log.info("node_stopped", node_id=runtime.identity.node_id)
        finally:
            self._drain = None
            self._signals.unwrap()

    def _hurry(self) -> None:
        if self._drain is not None:
            self._drain.hurry()

    def health(self) -> Health:
        """Whether this node runs, takes new clients and hears the others, and why not."""
        if self._runtime is None:
            return Health(ready=False, reasons=("the server has stopped" if self._closed else NOT_STARTED,))
        health = self._factory.health()
        details = {**health.details, **self._facts(self._runtime)}
        if self._closing is None:
            return Health(health.ready, health.reasons, details)
        return Health(ready=False, reasons=("the server is shutting down", *health.reasons), details=details)

    def _facts(self, runtime: Runtime) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "sessions": len(runtime.engine.sessions),
            "sessions_unknown": runtime.engine.counters["sessions_unknown"],
        }
        if self._relay is not None:
            facts |= {"relay": dict(self._relay.counters), "relay_open": self._relay.open_requests}
        return facts

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

    # For the ASGI app.

    @property
    def engine(self) -> Engine:
        """The Engine.IO half."""
        return self._started().engine

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
        self._relay = join_nodes(self._factory, runtime.engine)
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
                await self._factory.start(identity, self._node_listeners)
                clash = await self._factory.wait_for_tag_check(SETTLE_LIMIT_S)
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

    def _accept(self, session: Session, request: ClientRequest) -> Client:
        return Client(session, request, self._started(), self._namespaces.find)

    def _told_to_stop(self, again: bool) -> bool:
        """From a signal handler: begin to close, in the loop; whether the host has to wait for the drain."""
        if self._loop.is_closed():
            return False
        if again:
            self._loop.call_soon_threadsafe(self._hurry)
            return False
        self._loop.call_soon_threadsafe(self._begin_to_close, self._options.drain_s)
        return self._drain is not None or (self._closing is None and self._options.drain_s > 0)

    def _abandon(self) -> None:
        if self._runtime is not None:
            self._factory.close_sync()


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
