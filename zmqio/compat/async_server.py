"""`AsyncServer`: python-socketio's server API over a `zmqio.Server`."""

import asyncio
import re
from collections.abc import Callable, Collection
from typing import Any, NoReturn, TypeVar, overload

from zmqio.compat.admin_login import STATS_INTERVAL_S, AdminHandle, login_options
from zmqio.compat.async_namespace import AsyncNamespace
from zmqio.compat.client_operations import ClientOperations
from zmqio.compat.event_handlers import ANY_NAMESPACE, EventHandlers
from zmqio.compat.not_offered import SERVER_NAMES, explain
from zmqio.compat.options import parser_for, server_options
from zmqio.compat.served_handlers import ServedHandlers
from zmqio.server.admin.options import Mode
from zmqio.server.arguments import FROM_ENVIRONMENT, AdapterSpec
from zmqio.server.asgi import AsgiApp
from zmqio.server.registry import Registry
from zmqio.server.server import Server

__all__ = ["AsyncServer", "DisconnectReason"]

Function = TypeVar("Function", bound=Callable[..., Any])


class DisconnectReason:
    """Reasons that a disconnect handler receives. Source: python-engineio 4."""

    SERVER_DISCONNECT = "server disconnect"
    CLIENT_DISCONNECT = "client disconnect"
    PING_TIMEOUT = "ping timeout"
    TRANSPORT_CLOSE = "transport close"
    TRANSPORT_ERROR = "transport error"


class AsyncServer(ClientOperations):
    """A Socket.IO server with the API of python-socketio: one node of a cluster, or a single process.

    Example: `sio = AsyncServer(client_manager="tcp://127.0.0.1:5555")`, then `app = ASGIApp(sio)`

    Args:
        client_manager: the connection to the other nodes: the `adapter` of `zmqio.Server`. By default the
            environment variable `ZMQIO_ADAPTER` decides.
        logger: accepted, without effect: zmqio logs with structlog.
        serializer: `default` or `msgpack`.
        json: only the standard library's module; use `default=` to convert values.
        async_handlers: whether the events of one client are handled concurrently.
        always_connect: whether a client is connected before its connect handler runs.
        namespaces: namespaces that clients may join, besides `/` and those with handlers; `*` for all.
        options: the other options of python-socketio's server, and those of `zmqio.Server`, by their names.

    Raises:
        ConfigError: an option is unknown, invalid, or has no counterpart.

    Attributes:
        async_mode: always `asgi`.
        reason: the reasons of disconnects.
    """

    async_mode = "asgi"
    reason = DisconnectReason

    def __init__(
        self,
        client_manager: AdapterSpec = None,
        logger: Any = False,
        json: Any = None,
        async_handlers: bool = True,
        namespaces: Collection[str] | None = None,
        *,
        serializer: str = "default",
        always_connect: bool = False,
        **options: Any,
    ) -> None:
        given = {"logger": logger, "async_handlers": async_handlers, **options}
        adapter = FROM_ENVIRONMENT if client_manager is None else client_manager
        io = Server(adapter, parser=parser_for(serializer, json), **server_options(given))
        super().__init__(io, self._is_served)
        self._always_connect = always_connect
        self._event_handlers = EventHandlers()
        self._serves_all = namespaces == ANY_NAMESPACE
        self._served: set[str] = set()
        if self._serves_all:
            self._install(io.of(re.compile("")).registry, ANY_NAMESPACE)
        for name in {"/"} if self._serves_all or not namespaces else {*namespaces}:
            self._serve(name)
        self.space("/")  # zmqio always serves it; its clients are refused unless it is one of `namespaces`
        self._app = AsgiApp(io, path=None, client=io.client_app)

    def __getattr__(self, name: str) -> NoReturn:
        if name in SERVER_NAMES:
            raise AttributeError(explain(f"AsyncServer.{name}", SERVER_NAMES[name]))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # Registration.

    @overload
    def on(
        self, event: str, handler: None = None, namespace: str | None = None
    ) -> Callable[[Function], Function]: ...

    @overload
    def on(self, event: str, handler: Callable[..., Any], namespace: str | None = None) -> None: ...

    def on(
        self, event: str, handler: Callable[..., Any] | None = None, namespace: str | None = None
    ) -> Callable[[Function], Function] | None:
        """Register the handler of an event, as a decorator or with `handler`; it replaces an earlier one.

        - `connect`: a function `(sid, environ, auth)` or `(sid, environ)`. It refuses the client by returning
          False or raising `ConnectionRefusedError`.
        - `disconnect`: a function `(sid, reason)` or `(sid)`.
        - `*`: a function `(event, sid, *args)` for events without a handler.
        - Any other event: a function `(sid, *args)`, whose result is the acknowledgement.

        Args:
            event: the name of the event.
            handler: the function, plain or async; if omitted, a decorator is returned.
            namespace: None means `/`. With `*`, for all namespaces, the function receives the name of the
                namespace before the session id.

        Raises:
            TypeError: the function cannot be called in this way.
        """

        def register(function: Function) -> Function:
            name = namespace or "/"
            self._event_handlers.add(name, event, function)
            if name != ANY_NAMESPACE:
                self._serve(name)
            return function

        if handler is None:
            return register
        register(handler)
        return None

    @overload
    def event(self, function: Function, /) -> Function: ...

    @overload
    def event(self, /, *, namespace: str | None = None) -> Callable[[Function], Function]: ...

    def event(self, function: Any = None, /, *, namespace: str | None = None) -> Any:
        """Decorate the handler of the event that is named like the function.

        Example: `@sio.event` or `@sio.event(namespace="/chat")`
        """

        def register(handler: Function) -> Function:
            self.on(handler.__name__, handler, namespace)
            return handler

        return register if function is None else register(function)

    def register_namespace(self, namespace_handler: AsyncNamespace) -> None:
        """Register an object whose methods handle the events of its namespace.

        Raises:
            TypeError: it is not an `AsyncNamespace` of `zmqio.compat`.
        """
        if not isinstance(namespace_handler, AsyncNamespace):
            raise TypeError(f"{namespace_handler!r:.80} is not an AsyncNamespace of zmqio.compat")
        namespace_handler.attached(self)
        self._event_handlers.add_object(namespace_handler.namespace, namespace_handler)
        if namespace_handler.namespace != ANY_NAMESPACE:
            self._serve(namespace_handler.namespace)

    # Background tasks and the life cycle.

    def start_background_task(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> "asyncio.Task[Any]":
        """Run an async function until the server closes; see `zmqio.Server.start_background_task`."""
        return self.io.start_background_task(target, *args, **kwargs)

    async def sleep(self, seconds: float = 0) -> None:
        """Wait for `seconds`, during which other tasks run."""
        await asyncio.sleep(seconds)

    async def shutdown(self) -> None:
        """Cancel background tasks, disconnect the clients and leave the cluster."""
        await self.close()

    async def start(self) -> None:
        """Start the node; see `zmqio.Server.start`."""
        await self.io.start()

    async def close(self, drain_s: float | None = None) -> None:
        """Stop the node as `shutdown` does; `drain_s` as for `zmqio.Server.close`."""
        await self.io.close(drain_s)

    async def handle_request(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request of Socket.IO, whatever its path."""
        await self._app(scope, receive, send)

    def instrument(
        self,
        auth: Any = None,
        mode: Mode = "development",
        read_only: bool = False,
        server_id: str | None = None,
        namespace: str = "/admin",
        server_stats_interval: int = STATS_INTERVAL_S,
    ) -> AdminHandle:
        """Serve the official admin page; see `zmqio.Server.admin`. Call it before the server starts.

        Args:
            auth: a dict with `username` and `password`; False admits everyone who reaches the server.
            mode: `development`, or `production`, in which the page shows statistics only.
            read_only: in development mode, the page cannot emit, nor move or disconnect clients.
            server_id: shown before the id of the node, in the list of servers.
            namespace: the namespace that the page connects to.
            server_stats_interval: accepted only with its default.

        Raises:
            ConfigError: a value has no counterpart, or as for `zmqio.Server.admin`.
        """
        self.io.admin(
            **login_options(auth, server_stats_interval),
            mode=mode,
            readonly=read_only,
            server_id=server_id or "",
            namespace=namespace,
        )
        return AdminHandle()

    def _is_served(self, name: str) -> bool:
        return self._serves_all or name in self._served

    def _serve(self, name: str) -> None:
        """Let clients join a namespace."""
        if name not in self._served:
            self._served.add(name)
            self._install(self.space(name).registry, name)

    def _install(self, registry: Registry, name: str) -> None:
        registry.handlers = ServedHandlers(name, self._event_handlers, self, always_connect=self._always_connect)
        registry.used = name != ANY_NAMESPACE  # the server keeps namespaces with handlers of their own
