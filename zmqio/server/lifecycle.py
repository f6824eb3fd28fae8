"""The life cycle of a server: it starts the node, drains it, closes it, and starts it again as another node.

It owns everything that exists only while the node runs (engine, adapters, relay, tasks). It must not know the
operations that applications call.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any, cast

from zmqio.adapter.base import AdapterFactory, Health, Identity, MetricsReporter, TracedFactory
from zmqio.adapter.local import LocalAdapterFactory
from zmqio.config import EngineOptions, Recovery, ServerOptions
from zmqio.engine.server import ClientRequest, Engine, Session
from zmqio.exceptions import ServerClosedError
from zmqio.ids import NodeTag
from zmqio.logger import get_logger
from zmqio.metrics.process import PROCESS_METRICS
from zmqio.metrics.samples import Sample
from zmqio.protocol.parser import Parser, format_of
from zmqio.relay.relay import Relay, join_nodes
from zmqio.server.application_hooks import ApplicationHooks
from zmqio.server.client import Client
from zmqio.server.drain import Drain
from zmqio.server.host_signals import HostSignals
from zmqio.server.joining import close_at_exit, join_cluster
from zmqio.server.metrics import server_samples
from zmqio.server.namespace import Namespace
from zmqio.server.namespaces import Namespaces
from zmqio.server.node_listeners import NodeListeners
from zmqio.server.observers import Observers
from zmqio.server.runtime import Runtime
from zmqio.server.workers import warn_of_other_adapter, warn_of_workers
from zmqio.tracing import Tracing

__all__ = ["ServerLifecycle"]

log = get_logger(__name__)

HANDLER_GRACE_S = 5.0
"""Seconds that `close` waits for running handlers before it cancels them."""
REASON = "server shutting down"
NOT_STARTED = (
    "the server has not started: it starts with the ASGI lifespan, the first request or `await io.start()`"
)


class ServerLifecycle:
    """Starts and closes one server.

    Args:
        factory: makes the adapters of the namespaces.
        parser: encodes and decodes packets.
        node_tag: the configured node tag; None draws a random one.
        engine_options: options of the Engine.IO server.
        options: options of the Socket.IO server.

    Attributes:
        namespaces: all namespaces; they outlive a run of the server.
        node_listeners: the application's listeners for other nodes; they outlive a run, too.
        observers: see the events of all namespaces; they outlive a run, too.
        hooks: functions of the application at start and stop, and its background tasks.
    """

    def __init__(
        self,
        factory: AdapterFactory,
        parser: Parser,
        *,
        node_tag: NodeTag | None,
        engine_options: EngineOptions,
        options: ServerOptions,
    ) -> None:
        self.namespaces = Namespaces(self._open_namespace, options)
        self.node_listeners = NodeListeners()
        self.observers = Observers()
        self.hooks = ApplicationHooks()
        self._factory = factory
        self._parser = parser
        self._node_tag = node_tag
        self._engine_options = engine_options
        self._options = options
        self._runtime: Runtime | None = None
        self._relay: Relay | None = None
        self._starting: asyncio.Lock | None = None
        self._closed = False
        self._closing: asyncio.Future[None] | None = None
        self._drain: Drain | None = None
        self._tracing: Tracing | None = None
        self._signals = HostSignals(self._on_stop_signal)

    @property
    def running(self) -> bool:
        """Whether the server has started and has not been closed."""
        return self._runtime is not None

    @property
    def runtime(self) -> Runtime:
        """The parts of the current run.

        Raises:
            RuntimeError: the server has not started.
        """
        if self._runtime is None:
            raise RuntimeError("the server has not started: `await io.start()`, or serve `io.asgi()`")
        return self._runtime

    async def ready(self) -> None:
        """Start the server, unless it runs.

        Raises:
            ServerClosedError: it was closed.
            RuntimeError: it runs in another event loop.
        """
        if self._runtime is not None:
            self._runtime.check_loop()
            return  # also while it closes: disconnect handlers may still emit
        if self._closed:
            raise ServerClosedError
        await self.start()

    async def start(self) -> None:
        """Start the server, also after it was closed; see `Server.start`."""
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

    async def close(self, drain_s: float, *, end_drain: bool) -> None:
        """Close the server; see `Server.close`.

        Args:
            drain_s: seconds over which clients are disconnected, unless the server is closing already.
            end_drain: disconnect all clients at once, also if a drain has begun.
        """
        self._closed = True
        if self._starting is not None and self._starting.locked():
            async with self._starting:
                pass  # a start that is under way has to end before the server can be closed
        self._begin_to_close(drain_s, asyncio.current_task())
        if end_drain:
            self._end_drain()
        if self._closing is None:
            await self.hooks.stop_tasks(HANDLER_GRACE_S)  # of a server that has never started
        else:
            try:
                await asyncio.shield(self._closing)
            except asyncio.CancelledError:
                self._end_drain()
                raise

    def spawn(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "asyncio.Task[Any]":
        """Run a background task of the application; see `Server.start_background_task`."""
        if self._runtime is not None:
            self._runtime.check_loop()
        elif self._closed:
            raise ServerClosedError
        return self.hooks.spawn(function, *args, **kwargs)

    def health(self) -> Health:
        """Report whether this node accepts clients and is connected to the others; see `Server.health`."""
        if self._runtime is None:
            return Health(ready=False, reasons=("the server has stopped" if self._closed else NOT_STARTED,))
        health = self._factory.health()
        details = {**health.details, **self._health_details(self._runtime, health)}
        if self._closing is None:
            return Health(health.ready, health.reasons, details)
        return Health(ready=False, reasons=("the server is shutting down", *health.reasons), details=details)

    def trace(self, tracing: Tracing) -> None:
        """Make spans with `tracing` from the next start on.

        Raises:
            RuntimeError: the server runs.
        """
        if self.running:
            raise RuntimeError("the server runs already; instrument it before it starts")
        self._tracing = tracing
        if isinstance(self._factory, TracedFactory):
            self._factory.trace(tracing)

    def samples(self) -> Iterator[Sample]:
        """Yield the metrics. A server that does not run has hardly more than `zmqio_ready`, which is 0."""
        websockets = 0 if self._runtime is None else self._runtime.engine.websockets
        return server_samples(self.health(), websockets, self.namespaces.values())

    def _health_details(self, runtime: Runtime, node: Health) -> dict[str, Any]:
        counters = {
            **node.details.get("counters", {}),
            "engine": dict(runtime.engine.counters),
            "server": dict(runtime.counters),
        }
        details: dict[str, Any] = {"sessions": len(runtime.engine.sessions), "counters": counters}
        if self._relay is not None:
            counters["relay"] = dict(self._relay.counters)
            details["relay_requests_open"] = self._relay.open_requests
        return details

    async def _start(self) -> None:
        if isinstance(self._factory, MetricsReporter):
            self._factory.report_metrics(self.samples)
        identity = await join_cluster(self._factory, self.node_listeners, self._node_tag, format_of(self._parser))
        runtime = self._runtime = self._make_runtime(identity)
        try:
            for namespace in self.namespaces.values():
                await namespace.open(runtime, self._factory)
            self._relay = join_nodes(self._factory, runtime.engine)
            await self.hooks.run_start()
        except BaseException:  # cancelled, too: a server that has not started must not look as if it had
            await self._undo_start(runtime)
            raise
        self._note_start(runtime)

    def _make_runtime(self, identity: Identity) -> Runtime:
        runtime = Runtime(
            options=self._options,
            parser=self._parser,
            identity=identity,
            engine=Engine(self._engine_options, identity.tag, self._accept),
            observers=self.observers,
            tracing=self._tracing,
        )
        if self._options.recovery:
            options = Recovery() if self._options.recovery is True else self._options.recovery
            runtime.enable_recovery(options, self._factory)
        return runtime

    def _note_start(self, runtime: Runtime) -> None:
        """Begin what runs beside a started server, log the start, and warn of likely mistakes."""
        runtime.loop_lag.start()
        PROCESS_METRICS.add(self)
        self._signals.wrap()
        close_at_exit(self)
        node_id, nodes = runtime.identity.node_id, self._factory.health().details.get("nodes", 1)
        log.info(
            "node_started",
            node_id=node_id,
            pid=os.getpid(),
            adapter=repr(self._factory),
            nodes=nodes,
        )
        if isinstance(self._factory, LocalAdapterFactory):
            warn_of_workers()
        warn_of_other_adapter(self._factory)

    async def _undo_start(self, runtime: Runtime) -> None:
        self._runtime = None
        runtime.disable_recovery()
        await self.hooks.stop_tasks(HANDLER_GRACE_S)
        if self._relay is not None:
            await self._relay.close()
            self._relay = None
        await runtime.engine.close("server error")
        await self._leave_cluster()

    async def _leave_cluster(self) -> None:
        for namespace in self.namespaces.values():
            await namespace.close()
        await self._factory.close()

    async def _open_namespace(self, namespace: Namespace) -> None:
        await self.ready()
        self.namespaces.restore(namespace)
        await namespace.open(self.runtime, self._factory)

    def _accept(self, session: Session, request: ClientRequest) -> Client:
        return Client(session, request, self.runtime, self.namespaces.find)

    def _begin_to_close(self, drain_s: float, caller: "asyncio.Task[Any] | None" = None) -> None:
        self._closed = True
        runtime = self._runtime
        if runtime is None or self._closing is not None:
            return
        if drain_s > 0:
            runtime.engine.stop_accepting()
            # The events object of every session is the client that `_accept` returned.
            clients = [cast(Client, session.events) for session in runtime.engine.sessions.values()]
            self._drain = Drain(clients, drain_s)
            log.info("drain_started", clients=len(clients), drain_s=drain_s)
        self._closing = asyncio.ensure_future(self._close(runtime, self._drain, caller))

    async def _close(self, runtime: Runtime, drain: Drain | None, caller: "asyncio.Task[Any] | None") -> None:
        try:
            if drain is not None:
                await drain.run(REASON, runtime.engine.wait_until_empty())
                self._drain = None
                log.info("drain_ended", clients_left=len(runtime.engine.sessions))
            await self._close_clients(runtime)
            # Before the adapters close, so that the events of disconnect handlers still reach the other nodes.
            await asyncio.gather(
                runtime.tasks.close(HANDLER_GRACE_S, caller=caller),
                self.node_listeners.close(HANDLER_GRACE_S, caller=caller),
            )
            await self.hooks.run_stop(HANDLER_GRACE_S, caller=caller)
            PROCESS_METRICS.remove(self)
            self._runtime = self._starting = self._relay = None
            if runtime.session_exchange is not None:
                await runtime.session_exchange.hand_over()
            await self._leave_cluster()
            log.info("node_stopped", node_id=runtime.identity.node_id)
        finally:
            self._drain = None
            self._signals.unwrap()

    async def _close_clients(self, runtime: Runtime) -> None:
        if self._relay is not None:
            self._relay.stop_ingress()
        await runtime.engine.close(REASON)
        runtime.connecting.stop()
        runtime.loop_lag.stop()
        runtime.disable_recovery()
        if self._relay is not None:
            await self._relay.close()

    def _end_drain(self) -> None:
        if self._drain is not None:
            self._drain.finish_now()

    def _on_stop_signal(self, repeated: bool) -> bool:
        """Begin to close, from a signal handler; True if the host's own handler has to wait for the drain."""
        loop = self.runtime.loop if self._runtime is not None else None
        if loop is None or loop.is_closed():
            return False
        if repeated:
            loop.call_soon_threadsafe(self._end_drain)
            return False
        loop.call_soon_threadsafe(self._begin_to_close, self._options.drain_s)
        return self._drain is not None or (self._closing is None and self._options.drain_s > 0)

    def close_sync(self) -> None:
        """Say goodbye to the other nodes without an event loop, at the end of the process."""
        if self._runtime is not None:
            self._factory.close_sync()
