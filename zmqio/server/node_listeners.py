"""Listeners of the application for the cluster: nodes that join and leave, and messages that are lost.

Implements `NodeEvents`. A listener is a plain or async function. No listener can delay the bus, and errors of
listeners are logged.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from zmqio.adapter.base import BusGap
from zmqio.ids import NodeId
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.server.handlers import call
from zmqio.server.signatures import check_function
from zmqio.server.tasks import Tasks

__all__ = ["NodeListeners"]

log = LimitedLog(get_logger(__name__))

Function = TypeVar("Function", bound=Callable[..., Any])


class NodeListeners:
    """Functions that are called for events of the cluster, in the order of registration."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Callable[..., Any]]] = {"joined": [], "left": []}
        self._gap_listeners: list[Callable[..., Any]] = []
        self._tasks = Tasks()

    def on_node(self, event: str) -> Callable[[Function], Function]:
        """Decorate a function that is called when other nodes join or leave.

        Raises:
            ValueError: there is no such event.
        """
        if event not in self._listeners:
            raise ValueError(f"unknown node event {event!r}; the events are 'joined' and 'left'")

        def register(function: Function) -> Function:
            check_function(
                function, f"listener of {event!r}", "node_id", *(("reason",) if event == "left" else ())
            )
            self._listeners[event].append(function)
            return function

        return register

    def on_bus_gap(self, function: Function) -> Function:
        """Decorate a function that is called when messages are lost."""
        check_function(function, "listener of gaps", "gap")
        self._gap_listeners.append(function)
        return function

    async def close(self, grace_s: float, *, caller: "asyncio.Task[Any] | None" = None) -> None:
        """Wait up to `grace_s` seconds for running async listeners; see `Tasks.close`."""
        await self._tasks.close(grace_s, caller=caller)

    # `NodeEvents`.

    def node_joined(self, node_id: NodeId) -> None:
        """Another node has joined the cluster."""
        self._notify("joined", self._listeners["joined"], node_id)

    def node_left(self, node_id: NodeId, reason: str) -> None:
        """Another node has left the cluster."""
        self._notify("left", self._listeners["left"], node_id, reason)

    def bus_gap(self, gap: BusGap) -> None:
        """Messages of another node are lost."""
        self._notify("bus_gap", self._gap_listeners, gap)

    def _notify(self, event: str, listeners: list[Callable[..., Any]], *args: Any) -> None:
        for function in listeners:
            try:
                result = function(*args)
            except Exception:
                log.error("node_listener_failed", subject=event, event_name=event, exc_info=True)
                continue
            if inspect.isawaitable(result):
                self._tasks.spawn(_finish(event, result))


async def _finish(event: str, result: Awaitable[Any]) -> None:
    try:
        await call(lambda: result)
    except Exception:
        log.error("node_listener_failed", subject=event, event_name=event, exc_info=True)
