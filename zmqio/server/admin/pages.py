"""The content of admin pages in development mode: all sockets first, then each change and event.

It holds the feed, which observes this process while a page is open on any node, and the snapshots of the pages
that are connected to this node.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from zmqio.server.admin.description import time_text
from zmqio.server.admin.feed import EventFeed
from zmqio.server.admin.outbox import AdminOutbox
from zmqio.server.admin.snapshot import apply_changes, collect, describe_sockets
from zmqio.server.namespace import Namespace
from zmqio.server.observer import Observer
from zmqio.server.observers import Observers
from zmqio.server.socket import Socket

__all__ = ["REFRESH_S", "DevelopmentPages"]

REFRESH_S = 10.0
"""Shortest time between two snapshots that a node sends because changes are missing."""
REPORTS_UNTIL_DESCRIBED = 2
"""Reports after which a node has described its sockets, unless pages were open before it knew of them: it has just
started, or was cut off. Then the pages miss its changes since."""


class DevelopmentPages:
    """Shows sockets, rooms and events.

    Args:
        admin: the admin namespace.
        namespaces: returns the namespaces of this node.
        observers: of the server.
        spawn: runs a task, whose bus errors are ignored.
        extend: notes that a page is open on another node.
    """

    def __init__(
        self,
        admin: Namespace,
        namespaces: Callable[[], Iterable[Namespace]],
        observers: Observers,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        extend: Callable[[], None],
    ) -> None:
        self._admin = admin
        self._namespaces = namespaces
        self._observers = observers
        self._spawn = spawn
        self._extend = extend
        self._feed = EventFeed(admin.name, AdminOutbox(admin.emit, spawn).send)
        self._stale = False
        self._refreshed_s = 0.0
        self._reports = 0  # since `begin`
        self._described = False  # since `begin`

    def register(self) -> None:
        """Register the functions for requests of other nodes."""
        self._admin.on_server_side("describe")(self._describe)
        self._admin.on_server_side("refresh")(self._set_stale)

    def begin(self) -> None:
        """Observe: a page is open on some node."""
        self._stale = self._described = False
        self._reports = 0
        self._observers.add(self._feed, Observer)

    def end(self) -> None:
        """Observe no longer."""
        self._observers.remove(self._feed)
        self._feed.forget()

    def connected(self, page: Socket) -> None:
        """Send all sockets to a page of this node."""
        self._described = True
        self._spawn(self._send_sockets(page))

    def changes_missed(self, *_: object) -> None:
        """Another node has left, perhaps without reporting the end of its sockets, or messages of it are lost."""
        self._set_stale()

    async def report(self, node_id: str) -> None:
        """Report changed data and what was left out; send the sockets again if pages may show wrong ones."""
        self._reports += 1
        self._feed.report_data()
        omitted = self._feed.report_omitted(node_id)
        if omitted or (self._reports == REPORTS_UNTIL_DESCRIBED and not self._described):
            self._set_stale()
            await self._admin.server_side_emit("refresh")
        now_s = asyncio.get_running_loop().time()
        if self._stale and now_s - self._refreshed_s >= REFRESH_S:
            self._stale, self._refreshed_s = False, now_s
            for page in list(self._admin.sockets.values()):
                self.connected(page)

    async def _send_sockets(self, page: Socket) -> None:
        changes: list[tuple[Any, ...]] = []
        listener = page.on_any_outgoing(lambda *event: changes.append(event))
        try:
            sockets, omitted = await collect(self._admin, self._namespaces())
        finally:
            page.off_any_outgoing(listener)
        await page.emit("all_sockets", apply_changes(sockets, changes))
        if omitted:
            line = [f"(zmqio: {omitted} sockets are not shown)"]
            await page.emit("event_sent", "/", "all nodes", line, time_text(time.time()))

    async def _describe(self, max_sockets: int, max_bytes: int) -> tuple[list[dict[str, Any]], int]:
        self._extend()
        self._described = True
        return await describe_sockets(self._namespaces(), max_sockets, max_bytes)

    def _set_stale(self) -> None:
        self._stale = True
