"""The server: the object that applications create, register handlers with and emit through.

A server is created at import time and starts later: with the ASGI lifespan, the first request or the first `emit`.
Nothing here touches an event loop or a socket before that, so that worker processes may be forked in between.
`ServerLifecycle` starts and closes it.
"""

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from zmqio.adapter.base import Adapter, Health
from zmqio.config import node_tag_from_environment
from zmqio.engine.server import Engine
from zmqio.ids import NodeId
from zmqio.metrics.exposition import SampleCollector, expose
from zmqio.metrics.process import http_samples
from zmqio.protocol.converting_parser import Default
from zmqio.protocol.parser import Parser
from zmqio.server.arguments import (
    FROM_ENVIRONMENT,
    AdapterSpec,
    check_tag,
    make_factory,
    make_parser,
    sort_options,
)
from zmqio.server.asgi import AsgiApp, AsgiCallable
from zmqio.server.client_app import ClientApp
from zmqio.server.health_app import LIVE_PATH, READY_PATH, HealthApp
from zmqio.server.lifecycle import ServerLifecycle
from zmqio.server.metrics_app import MetricsApp
from zmqio.server.namespace import Namespace
from zmqio.server.namespace_handlers import NamespaceHandlers, register_handlers
from zmqio.server.observer import Observer
from zmqio.server.observers import notify
from zmqio.server.operations import Operations
from zmqio.server.parent import ParentNamespace, Rule
from zmqio.server.registry import Registration, Registry
from zmqio.tracing import Tracing

if TYPE_CHECKING:
    from zmqio.server.admin.admin import Admin

__all__ = ["Server"]

Function = TypeVar("Function", bound=Callable[..., Any])


class Server(Registration, Operations):
    """A Socket.IO server: one node of a cluster, or a single process.

    Example: `io = zmqio.Server("tcp://127.0.0.1:5555")`, then `app = io.asgi()`

    Its handlers, middleware and operations (`on`, `emit`, `to`, ...) are those of the namespace `/`.

    Args:
        adapter: the connection to the other nodes. A broker address (`"tcp://127.0.0.1:5555"`,
            `"ipc:///run/zmqio"`, or several separated by commas), addresses of NATS servers
            (`"nats://127.0.0.1:4222"`), an adapter factory such as `ZmqAdapter(address, **options)`, a subclass of
            `LocalAdapter`, or None for this process only. By default the environment variable `ZMQIO_ADAPTER`
            decides.
        node_tag: the first 4 characters of every id that this node creates. No two nodes may have the same tag. By
            default the environment variable `ZMQIO_NODE_TAG`, else random characters.
        parser: encodes and decodes packets; must match the parser of the clients.
        default: a function, as of `json.dumps`, that returns a value which can be sent for one which cannot, such
            as a `datetime`, `UUID` or `Decimal`; raises `TypeError` if there is none. It applies to everything
            that is sent to clients, and is called only if a packet has such a value.
        options: any field of `EngineOptions` and `ServerOptions`, by its name.

    Raises:
        ConfigError: an option is unknown or its value invalid; the message names it and the reason.
    """

    def __init__(
        self,
        adapter: AdapterSpec = FROM_ENVIRONMENT,
        *,
        node_tag: str | None = None,
        parser: Parser | None = None,
        default: Default | None = None,
        **options: Any,
    ) -> None:
        engine_options, self._options = sort_options(options)
        self._lifecycle = ServerLifecycle(
            make_factory(adapter),
            make_parser(parser, default, recovery=bool(self._options.recovery)),
            node_tag=check_tag(node_tag or node_tag_from_environment()),
            engine_options=engine_options,
            options=self._options,
        )
        self._collector = SampleCollector(lambda: [*self._lifecycle.samples(), *http_samples()])
        self._client = ClientApp(engine_options)
        self._admin: Admin | None = None
        self._root = self._lifecycle.namespaces.get_or_create("/")
        Operations.__init__(self, self._root)

    def __repr__(self) -> str:
        return f"<Server namespaces={sorted(self._lifecycle.namespaces)} running={self.running}>"

    # Registration.

    @overload
    def of(self, name: str) -> Namespace: ...

    @overload
    def of(self, name: Rule) -> ParentNamespace: ...

    def of(self, name: str | Rule) -> Namespace | ParentNamespace:
        """Return a namespace, or the parent of dynamic namespaces.

        Example: `chat = io.of("/chat")`, `rooms = io.of(re.compile(r"^/room-\\d+$"))`

        Args:
            name: a name, which is prefixed with `/` if necessary. For dynamic namespaces, a pattern that is
                searched for in the name, or a function `(name, auth)`, plain or async, that returns whether a
                client may create or enter the namespace. If several rules allow a name, the first decides.

        Returns:
            The namespace of that name, which is created on the first call. For a rule, the parent of all
            namespaces that clients create by connecting to a name that the rule allows; the same rule gives the
            same parent.

        Raises:
            ValueError: the name contains a NUL character, a comma or a question mark.
            TypeError: `name` is neither a string, a pattern of text nor a function.
        """
        namespaces = self._lifecycle.namespaces
        return namespaces.get_or_create(name) if isinstance(name, str) else namespaces.parent(name)

    @property
    def registry(self) -> Registry:
        """The handlers, middleware and listeners of the namespace `/`."""
        return self._root.registry

    def register(self, name: str | Rule, handlers: NamespaceHandlers) -> None:
        """Register the methods of an object as the event handlers of a namespace, or of a parent.

        Example: `io.register("/chat", Chat())`

        Args:
            name: a name or a rule, as for `of`.
            handlers: the object; see `NamespaceHandlers`.

        Raises:
            ValueError: an event already has a handler, or the object has no handler methods or is registered for
                another namespace.
        """
        register_handlers(self.of(name), handlers)

    def observe(self, observer: Observer) -> None:
        """Let an observer see the events of all namespaces of this process. A second call has no effect.

        Example: `io.observe(Log())`, where `Log` is a subclass of `zmqio.Observer`
        """
        if self._lifecycle.observers.add(observer, Observer):
            for namespace in self._lifecycle.namespaces.values():
                if namespace.is_open:
                    notify((observer.namespace_opened,), namespace.name)

    def trace(self, tracing: Tracing) -> None:
        """Make spans with `tracing`; `zmqio.telemetry.instrument(io)` calls this. Call it before the start.

        Raises:
            RuntimeError: the server runs.
        """
        self._lifecycle.trace(tracing)

    def stop_observing(self, observer: Observer) -> None:
        """Stop what `observe` started; an observer that is not registered is ignored."""
        self._lifecycle.observers.remove(observer)

    def on_node(self, event: str) -> Callable[[Function], Function]:
        """Decorate a function that is called when other nodes join or leave the cluster.

        Args:
            event: `"joined"` for a function `(node_id)`, `"left"` for a function `(node_id, reason)`; plain or
                async.

        Raises:
            ValueError: there is no such event.
        """
        return self._lifecycle.node_listeners.on_node(event)

    def on_start(self, function: Function) -> Function:
        """Decorate a function without arguments, plain or async, that runs when the node has started.

        It runs before the host accepts clients, if the host has a lifespan. Its exception ends the start.
        """
        self._lifecycle.hooks.on_start(function)
        return function

    def on_stop(self, function: Function) -> Function:
        """Decorate a function without arguments, plain or async, that runs before the node leaves the cluster.

        The clients have gone, and the other nodes can still be reached. All such functions together have 5 s.
        """
        self._lifecycle.hooks.on_stop(function)
        return function

    def start_background_task(
        self, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> "asyncio.Task[Any]":
        """Run an async function beside the handlers until the server closes, which cancels it.

        Example: `io.start_background_task(tick)` in a function of `on_start`

        It may begin before the server starts, for example at the start of the web framework. An exception is
        logged as `background_task_failed`.

        Raises:
            TypeError: the function is not async.
            ServerClosedError: the server was closed.
            RuntimeError: no event loop runs here, or the server runs in another one.
        """
        return self._lifecycle.spawn(function, *args, **kwargs)

    def on_bus_gap(self, function: Function) -> Function:
        """Decorate a function `(gap: BusGap)` that is called when messages of another node are lost.

        It is called once per gap: after the replay has failed, and before the messages that follow the gap are
        delivered. Tell clients here to fetch their state again.
        """
        return self._lifecycle.node_listeners.on_bus_gap(function)

    def admin(
        self,
        *,
        username: str = "",
        password: str = "",
        mode: Literal["production", "development"] = "production",
        readonly: bool = False,
        namespace: str = "/admin",
        server_id: str = "",
        insecure: bool = False,
    ) -> None:
        """Serve the official admin page, @socket.io/admin-ui (docs/admin.md). Call it before the server starts.

        Example: `io.admin(username="ops", password=os.environ["ADMIN_PASSWORD_HASH"])`

        Call it on all nodes with the same values. The page is not part of zmqio; it connects to any node.

        Args:
            username, password: the login. The password is given as a hash, which `zmqio admin-password` makes.
            mode: `production`: the page shows statistics of all nodes only. `development`: it also shows sockets,
                their data and rooms, and events with their arguments, and can act on them.
            readonly: in development mode, the page cannot emit, nor move or disconnect sockets.
            namespace: the namespace that the page connects to.
            server_id: shown before the id of the node, in the list of servers.
            insecure: admit everyone who reaches the server, without a password.

        Raises:
            ConfigError: there is neither a login nor `insecure`, or both; the password is not a hash; or the
                application uses the namespace.
            RuntimeError: the server runs, or has an admin page.
        """
        if self.running or self._admin is not None:
            raise RuntimeError("io.admin() is called once, before the server starts")
        # A fiftieth of a node's start, and most nodes serve no admin page.
        from zmqio.server.admin.admin import Admin
        from zmqio.server.admin.options import make_options

        options = make_options(
            username=username,
            password=password,
            mode=mode,
            readonly=readonly,
            namespace=namespace,
            server_id=server_id,
            insecure=insecure,
        )
        self._admin = Admin(self._lifecycle, options)

    def asgi(
        self,
        other_app: AsgiCallable | None = None,
        *,
        path: str = "/socket.io",
        live_path: str | None = LIVE_PATH,
        ready_path: str | None = READY_PATH,
        metrics_path: str | None = None,
    ) -> AsgiApp:
        """Return the ASGI app that serves Socket.IO.

        Example: `app = io.asgi(FastAPI())`

        Args:
            other_app: an app that receives every other request, and the lifespan events.
            path: the path of Socket.IO. If a framework mounts the app, Socket.IO is also served at the mount point
                itself, so that `app.mount("/socket.io", io.asgi())` works.
            live_path: the path of the health check "is the event loop running" (see `health_app`), below the mount
                point if the app is mounted. It takes precedence over a route of `other_app`; None disables it.
            ready_path: the path of the health check "can it serve clients"; as `live_path`.
            metrics_path: the path of the metrics, such as `/metrics`; see `metrics_app`. Everyone who reaches the
                port can read them, so by default they are not served.

        Raises:
            ConfigError: `metrics_path` is given, and prometheus-client is not installed.
        """
        metrics = None if metrics_path is None else MetricsApp(self._collector, metrics_path)
        health = self.health_app(live_path=live_path, ready_path=ready_path)
        return AsgiApp(self, other_app, path=path, health=health, metrics=metrics, client=self._client)

    def health_app(self, *, live_path: str | None = LIVE_PATH, ready_path: str | None = READY_PATH) -> HealthApp:
        """Return an ASGI app with the health routes only, for apps in which `io.asgi()` is mounted below a path.

        A framework that mounts `io.asgi()` does not pass the lifespan events on, so call `await io.start()` in the
        framework's own lifespan: probes do not start the server.

        Args:
            live_path: responds with 200 as long as the event loop is running; None disables it.
            ready_path: responds with 200 if `health().ready`, else with 503 and the reasons: the server has not
                started, has no broker connection, or is shutting down. With the option `health_details` it also
                shows `health().details`. None disables it.
        """
        details = self._options.health_details
        return HealthApp(self.health, live_path=live_path, ready_path=ready_path, details=details)

    @property
    def client_app(self) -> ClientApp:
        """The part of `asgi()` that serves the files of the browser client."""
        return self._client

    def metrics_app(self) -> MetricsApp:
        """Return an ASGI app that responds on every path with the metrics of this process.

        Example: `app.mount("/metrics", io.metrics_app())`, behind the application's own access rules

        With several worker processes on one port, each scrape reaches any one of them, whose counters are its
        own. Scrape processes that have a port each, or use `zmqio serve --metrics`.

        Raises:
            ConfigError: prometheus-client is not installed (`pip install zmqio[prometheus]`).
        """
        return MetricsApp(self._collector)

    def metrics(self) -> str:
        """Return the metrics of this process in the text format of Prometheus (docs/reference/metrics.md).

        Raises:
            ConfigError: prometheus-client is not installed (`pip install zmqio[prometheus]`).
        """
        return expose(self._collector)[1].decode()

    # Life cycle.

    @property
    def running(self) -> bool:
        """Whether the server has started and has not been closed."""
        return self._lifecycle.running

    @property
    def node_id(self) -> NodeId:
        """The id of this run of this process.

        Raises:
            RuntimeError: the server has not started.
        """
        return self._lifecycle.runtime.identity.node_id

    async def start(self) -> None:
        """Start the node. Does nothing if it runs; starts again if it was closed.

        The call does not wait for a broker connection, except for at most 0.5 s to check the node tag.

        Raises:
            ConfigError: the configured node tag belongs to another live node.
            RuntimeError: the server already runs in another event loop.
        """
        await self._lifecycle.start()

    async def close(self, drain_s: float | None = None) -> None:
        """Disconnect the clients (reason `server shutting down`), leave the cluster, and stop.

        1. New sessions are refused with 503 and `health` is no longer ready. Existing sessions are served as
           before, and this node stays a full member of the cluster.
        2. Clients are disconnected one after the other, evenly and with jitter, over `drain_s` seconds. Their
           connections are closed without a DISCONNECT packet, so that official clients reconnect by themselves.
        3. Running handlers finish, including those of `disconnect`. The events that they emit reach the other
           nodes.
        4. The goodbye is the last message of this node. When the broker has returned it, all earlier messages have
           been sent, and no other node waits for a response of this one.

        The call takes `drain_s`, or less if all clients disconnect earlier. Clients that do not fetch their queued
        packets, handlers that do not end and a broker that does not respond add at most 20 s.

        A second call waits for the same shutdown. With `drain_s=0`, or if a waiting call is cancelled, the
        remaining clients are disconnected at once.

        Args:
            drain_s: seconds over which clients are disconnected; 0 disconnects all at once. None means the option
                `drain_s`.

        Raises:
            ValueError: `drain_s` is negative, infinite or not a number; the server keeps running.
        """
        limit_s = self._options.drain_s if drain_s is None else drain_s
        if not 0 <= limit_s < math.inf:
            raise ValueError(f"drain_s={drain_s!r} must be 0 or a positive number of seconds")
        await self._lifecycle.close(limit_s, end_drain=drain_s == 0)

    def health(self) -> Health:
        """Report whether this node runs, accepts clients and is connected to the other nodes.

        Example: `assert io.health().ready, io.health().reasons`

        Returns:
            `ready`; the `reasons` if it is not ready; and `details`: states by name, and `counters` by part
            (docs/reference/events.md lists all of them).
        """
        return self._lifecycle.health()

    async def __aenter__(self) -> "Server":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def ready(self) -> None:
        """Start the server, unless it runs.

        Raises:
            ServerClosedError: it was closed.
            RuntimeError: it runs in another event loop.
        """
        await self._lifecycle.ready()

    @property
    def adapter(self) -> Adapter:
        """The adapter of the namespace `/`. The server must have started."""
        return self._root.adapter

    @property
    def engine(self) -> Engine:
        """The Engine.IO server.

        Raises:
            RuntimeError: the server has not started.
        """
        return self._lifecycle.runtime.engine
