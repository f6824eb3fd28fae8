"""A process with a python-socketio server, as a node of the cluster."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterable

from zmqio.adapter.base import AdapterFactory, Health, Identity
from zmqio.logger import get_logger
from zmqio.metrics.process import PROCESS_METRICS
from zmqio.metrics.samples import Sample
from zmqio.protocol.parser import format_of
from zmqio.protocol.topic import check_name
from zmqio.python_socketio.namespace import ManagerNamespace, ManagerRuntime
from zmqio.python_socketio.sockets import ManagerSockets
from zmqio.server.joining import close_at_exit, join_cluster
from zmqio.server.metrics import node_samples
from zmqio.server.node_listeners import NodeListeners
from zmqio.server.tasks import Tasks

__all__ = ["ManagerNode"]

log = get_logger(__name__)

GRACE_S = 5.0
"""Seconds that `close` waits for running listeners."""
MAX_EMPTY_NAMESPACES = 1_000
"""Most namespaces without a client that stay open; with `namespaces="*"` the clients choose their names."""


class ManagerNode:
    """Owns the namespaces of one manager, and the node that they share.

    Args:
        factory: makes the adapters.
        runtime: the shared parts.
        make_sockets: makes the local sockets of a namespace.
        close_at_exit: arranges for the goodbye at exit; by default without an event loop.

    Attributes:
        listeners: the application's listeners for nodes and gaps.
        counters: name -> number of dropped or converted items.
        tasks: tasks that disconnect clients and run listeners.
        requests: tasks that wait for acknowledgements; `close` cancels them.
        namespaces: the namespaces in use, by name.
    """

    def __init__(
        self,
        factory: AdapterFactory,
        runtime: ManagerRuntime,
        make_sockets: Callable[[ManagerNamespace], ManagerSockets],
        close_at_exit: Callable[[], None] | None = None,
    ) -> None:
        self.listeners = NodeListeners()
        self.counters: Counter[str] = Counter()
        self.tasks = Tasks()
        self.requests = Tasks()
        self.namespaces: dict[str, ManagerNamespace] = {}
        self._factory = factory
        self._runtime = runtime
        self._make_sockets = make_sockets
        self._close_at_exit = close_at_exit
        self._identity: Identity | None = None
        self._lock: asyncio.Lock | None = None

    @property
    def identity(self) -> Identity:
        """The identity of this run.

        Raises:
            RuntimeError: the node has not started.
        """
        if self._identity is None:
            raise RuntimeError("the manager has not started: `await manager.start()` first")
        return self._identity

    def namespace(self, name: str) -> ManagerNamespace:
        """Return a namespace, which opens on its first use.

        Raises:
            TopicError: the name contains a NUL.
        """
        known = self.namespaces.get(name)
        if known is None:
            check_name(name)
            known = self.namespaces.setdefault(name, ManagerNamespace(name, self._runtime, self._open))
        return known

    async def start(self) -> None:
        """Join the other nodes, unless that has happened; does not wait for a broker."""
        async with self._starting():
            await self._start()

    async def close(self) -> None:
        """Leave the other nodes. The next use of the manager starts another node."""
        self.requests.cancel()
        await self.requests.close(GRACE_S)
        await self.tasks.close(GRACE_S)
        await self.listeners.close(GRACE_S)
        async with self._starting():
            if self._identity is None:
                return
            for namespace in self.namespaces.values():
                await self._close_namespace(namespace)
            PROCESS_METRICS.remove(self)
            await self._factory.close()
            log.info("node_stopped", node_id=self._identity.node_id)
            self._identity = None
        self._lock = None

    def reset(self, factory: AdapterFactory) -> None:
        """Become another node, not started yet: in a forked child, whose parent keeps the former node."""
        self.tasks, self.requests = Tasks(), Tasks()
        self.counters.clear()
        for namespace in self.namespaces.values():
            namespace.closed()
        self._factory = factory
        self._identity = self._lock = None

    def close_sync(self) -> None:
        """Say goodbye without an event loop, at the end of the process."""
        if self._identity is not None:
            self._factory.close_sync()

    def health(self) -> Health:
        """Whether this node receives the messages of other nodes; `details` has counters and node ids."""
        health = self._factory.health()
        counters = {**health.details.get("counters", {}), "python_socketio": dict(self.counters)}
        return Health(health.ready, health.reasons, {**health.details, "counters": counters})

    def samples(self) -> Iterable[Sample]:
        """Return the metrics of the bus."""
        return node_samples(self.health())

    def _starting(self) -> asyncio.Lock:
        if self._lock is None:
            self._lock = asyncio.Lock()
        return self._lock

    async def _start(self) -> None:
        if self._identity is None:
            self._identity = await join_cluster(
                self._factory, self.listeners, None, format_of(self._runtime.parser)
            )
            PROCESS_METRICS.add(self)
            if self._close_at_exit is None:
                close_at_exit(self)
            else:
                self._close_at_exit()
            log.info(
                "node_started",
                node_id=self._identity.node_id,
                pid=os.getpid(),
                adapter=repr(self._factory),
                nodes=self._factory.health().details.get("nodes", 1),
            )

    async def _open(self, namespace: ManagerNamespace) -> None:
        async with self._starting():
            await self._start()
            if namespace.is_open:
                return
            await self._close_empty_namespaces()
            self.namespaces[namespace.name] = namespace
            sockets = self._make_sockets(namespace)
            adapter = self._factory(namespace.name, sockets)
            await adapter.open()
            namespace.opened(adapter, sockets)

    async def _close_empty_namespaces(self) -> None:
        if len(self.namespaces) <= MAX_EMPTY_NAMESPACES:
            return
        empty = [each for each in self.namespaces.values() if each.is_open and not each.occupied]
        for namespace in empty[: len(empty) - MAX_EMPTY_NAMESPACES]:
            del self.namespaces[namespace.name]
            await self._close_namespace(namespace)

    async def _close_namespace(self, namespace: ManagerNamespace) -> None:
        if namespace.is_open:
            adapter = namespace.adapter
            namespace.closed()
            await adapter.close()
