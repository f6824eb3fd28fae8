"""Reports what happens in the namespaces of this process to admin pages, at a limited rate.

It is registered as an observer only while a page is open. Events in the admin namespace itself are not reported,
because each report is such an event.

Source: `registerVerboseListeners` of @socket.io/admin-ui 0.5.
"""

import time
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import Any

from zmqio.ids import Sid
from zmqio.server.admin.changed_data import ChangedData
from zmqio.server.admin.clip import clip
from zmqio.server.admin.description import describe_socket, time_text
from zmqio.server.admin.rate import MAX_EVENTS_PER_S, EventRate
from zmqio.server.observer import Observer
from zmqio.server.socket import Socket

__all__ = ["MAX_RECIPIENTS", "EventFeed"]

MAX_RECIPIENTS = 10
"""Clients of one broadcast that are shown with a line of their own; the rest share one."""


class EventFeed(Observer):
    """Translates events of namespaces to those of the page.

    Args:
        admin_namespace: name of the admin namespace.
        send: sends an event with its arguments to all pages; never blocks.
        clock: returns seconds since 1970.
    """

    def __init__(
        self, admin_namespace: str, send: Callable[..., None], clock: Callable[[], float] = time.time
    ) -> None:
        self._admin_namespace = admin_namespace
        self._send = send
        self._clock = clock
        self._rate = EventRate()
        self._data = ChangedData()

    def report_omitted(self, node_id: str) -> bool:
        """Show how many events were left out; return whether the page may show wrong sockets and rooms."""
        omitted, omitted_changes = self._rate.take_omitted()
        if omitted:
            why = f"more than {MAX_EVENTS_PER_S} per second"
            self._send_line("/", f"node {node_id}", [f"(zmqio: {omitted} events are not shown, {why})"])
        return bool(omitted_changes)

    def forget(self) -> None:
        """Forget the sockets of the pages that were open."""
        self._data.forget()

    def report_data(self) -> None:
        """Report changes of `socket.data`."""
        for socket, data in self._data.take():
            if self._allow(change=True):
                self._send("socket_updated", {"id": socket.id, "nsp": socket.namespace, "data": data})

    # `Observer`.

    def connected(self, socket: Socket) -> None:
        """Report a new socket."""
        if self._allow(change=True):
            described = describe_socket(socket)
            self._data.note_shown(socket, described["data"])
            self._send("socket_connected", described, self._now())

    def disconnected(self, socket: Socket, reason: str) -> None:
        """Report a socket that has gone."""
        self._change("socket_disconnected", socket.namespace, socket.id, reason)

    def upgraded(self, socket: Socket) -> None:
        """Report a new transport."""
        if self._allow(change=True):
            change = {"id": socket.id, "nsp": socket.namespace, "transport": socket.transport}
            self._send("socket_updated", change)

    def room_joined(self, namespace: str, room: str, sid: Sid) -> None:
        """Report a join."""
        self._change("room_joined", namespace, room, sid)

    def room_left(self, namespace: str, room: str, sid: Sid) -> None:
        """Report a leave."""
        self._change("room_left", namespace, room, sid)

    def event_received(self, socket: Socket, event: str, args: Sequence[Any]) -> None:
        """Report an event of a client."""
        if socket.namespace == self._admin_namespace:
            return
        self._data.note_event(socket)
        if self._allow(change=False):
            self._send("event_received", socket.namespace, socket.id, clip([event, *args]), self._now())

    def event_sent(self, namespace: str, sids: Collection[Sid], event: str, args: Sequence[Any]) -> None:
        """Report an event to clients, with one line for each of the first `MAX_RECIPIENTS`."""
        if namespace == self._admin_namespace:
            return
        shown = None
        for sid in islice(sids, MAX_RECIPIENTS):
            if self._allow(change=False):
                shown = shown or clip([event, *args])
                self._send_line(namespace, sid, shown)
        if shown and len(sids) > MAX_RECIPIENTS:
            self._send_line(namespace, f"and {len(sids) - MAX_RECIPIENTS} more", shown)

    def _change(self, event: str, *args: Any) -> None:
        if self._allow(change=True):
            self._send(event, *args, self._now())

    def _send_line(self, namespace: str, sid: str, event: list[Any]) -> None:
        self._send("event_sent", namespace, sid, event, self._now())

    def _allow(self, *, change: bool) -> bool:
        return self._rate.allow(self._clock(), change=change)

    def _now(self) -> str:
        return time_text(self._clock())
