"""The server side of the admin page on one node: login, statistics, and in development mode sockets and events.

Every node reports for itself, by broadcasts in the admin namespace; the cluster carries them to the node that the
page is connected to. A node reports only while a page is open on some node (`Watch`).

Source: https://github.com/socketio/socket.io-admin-ui (server 0.5); the page is its folder `ui/dist`.
"""

import os
import socket as sockets
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from zmqio.exceptions import BusError, ConfigError
from zmqio.logger import get_logger
from zmqio.server.admin.actions import Actions
from zmqio.server.admin.login import Login
from zmqio.server.admin.options import AdminOptions
from zmqio.server.admin.pages import DevelopmentPages
from zmqio.server.admin.statistics import Activity, namespace_sizes
from zmqio.server.admin.watch import Watch
from zmqio.server.lifecycle import ServerLifecycle
from zmqio.server.namespace import Namespace
from zmqio.server.observer import Observer
from zmqio.server.parent import ChildNamespace
from zmqio.server.socket import Socket

__all__ = ["Admin"]

log = get_logger(__name__)


class Admin(Observer):
    """The admin page's server side. It registers itself for one namespace.

    Args:
        lifecycle: of the server.
        options: checked options.

    Raises:
        ConfigError: the application uses the namespace.
    """

    def __init__(self, lifecycle: ServerLifecycle, options: AdminOptions) -> None:
        self._lifecycle = lifecycle
        self._options = options
        self._namespace = _free_namespace(lifecycle, options.namespace)
        self._namespace.recovers = False  # a page that returns logs in again, and receives all sockets
        self._activity = Activity()
        self._created_s = time.monotonic()
        self._watch = Watch(self._begin, self._report, self._end)
        if options.credentials is not None:
            Login(self._namespace, *options.credentials, time.monotonic).register()
        self._pages = self._make_pages() if options.shows_events else None
        if options.acts:
            Actions(self._namespace, self._find).register()
        self._namespace.on("connect", self._connect)
        self._namespace.on_server_side("page_open")(self._watch.extend)
        lifecycle.observers.add(self, Observer)

    # `Observer`.

    def namespace_opened(self, namespace: str) -> None:
        """Warn when the server starts without a password."""
        if namespace == self._options.namespace and self._options.credentials is None:
            log.warning("admin_unprotected", namespace=namespace, mode=self._options.mode)

    def namespace_closed(self, namespace: str) -> None:
        """Stop when the server closes."""
        if namespace == self._options.namespace:
            self._watch.stop()

    # Pages.

    async def _connect(self, socket: Socket) -> None:
        await socket.emit("config", {"supportedFeatures": self._options.features})
        self._watch.extend()
        if self._pages is not None:
            self._pages.connected(socket)

    def _make_pages(self) -> DevelopmentPages:
        lifecycle = self._lifecycle
        pages = DevelopmentPages(
            self._namespace, lifecycle.namespaces.values, lifecycle.observers, self._spawn, self._watch.extend
        )
        pages.register()
        lifecycle.node_listeners.on_node("left")(pages.changes_missed)
        lifecycle.node_listeners.on_bus_gap(pages.changes_missed)
        return pages

    def _find(self, name: str) -> Namespace | None:
        namespaces = self._lifecycle.namespaces.values()
        return next((found for found in namespaces if found.name == name and found.is_open), None)

    # `Watch`.

    def _begin(self) -> None:
        self._activity.forget()
        if self._pages is not None:
            self._pages.begin()

    def _end(self) -> None:
        if self._pages is not None:
            self._pages.end()

    def _report(self) -> None:
        if self._namespace.is_open:
            self._spawn(self._send_statistics())

    async def _send_statistics(self) -> None:
        if not self._lifecycle.running:  # it has closed since this task was created
            return
        if self._namespace.sockets:
            self._watch.extend()
            await self._namespace.server_side_emit("page_open")
        await self._namespace.emit("server_stats", self._statistics())
        if self._pages is not None:
            await self._pages.report(self._lifecycle.runtime.identity.node_id)

    def _statistics(self) -> dict[str, Any]:
        runtime = self._lifecycle.runtime
        engine, node_id = runtime.engine, runtime.identity.node_id
        now_s = time.time()
        return {
            "serverId": f"{self._options.server_id}#{node_id}" if self._options.server_id else node_id,
            "hostname": sockets.gethostname(),
            "pid": os.getpid(),
            "uptime": time.monotonic() - self._created_s,
            "clientsCount": len(engine.sessions),
            "pollingClientsCount": len(engine.sessions) - engine.websockets,
            "aggregatedEvents": self._activity.take({**engine.counters, **runtime.counters}, now_s),
            "namespaces": namespace_sizes(self._lifecycle.namespaces.values()),
        }

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._namespace.runtime.tasks.spawn(_without_bus_errors(work))


async def _without_bus_errors(work: Coroutine[Any, Any, None]) -> None:
    with suppress(BusError):  # other nodes miss one report; the bus has counted and logged it
        await work


def _free_namespace(lifecycle: ServerLifecycle, name: str) -> Namespace:
    namespace = lifecycle.namespaces.get_or_create(name)
    if isinstance(namespace, ChildNamespace) or namespace.registry.used:
        raise ConfigError(f"namespace={name!r} is used by the application; choose another for the admin page")
    return namespace
