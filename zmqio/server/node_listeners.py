"""What an application wants to hear of the cluster: nodes that come and go, and messages that were lost.

Implements `NodeEvents`. A listener is a plain function or a coroutine function; none can hold up the bus, and
what it raises is logged.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from zmqio.adapter.base import BusGap
from zmqio.ids import NodeId
from zmqio.server.tasks import Tasks

__all__ = ["NodeListeners"]

log = structlog.get_logger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])


class NodeListeners:
    """Functions that hear of the cluster, in the order in which they were registered."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Callable[..., Any]]] = {"joined": [], "left": []}
        self._gap_listeners: list[Callable[..., Any]] = []
        self._tasks = Tasks()

    def on_node(self, event: str) -> Callable[[Function], Function]:
        """Decorate a function that hears of other nodes.

        Raises:
            ValueError: there is no such event.
        """
        if event not in self._listeners:
            raise ValueError(f"{event!r} is no node event; there are 'joined' and 'left'")

        def register(function: Function) -> Function:
            self._listeners[event].append(function)
            return function

        return register

    def on_bus_gap(self, function: Function) -> Function:
        """Let a function hear of lost messages."""
        self._gap_listeners.append(function)
        return function

    async def close(self, grace_s: float, *, caller: "asyncio.Task[Any] | None" = None) -> None:
        """Wait up to `grace_s` seconds for coroutine listeners that run; see `Tasks.close`."""
        await self._tasks.close(grace_s, caller=caller)

    # `NodeEvents`.

    def node_joined(self, node_id: NodeId) -> None:
        """Another node is there."""
        self._tell("joined", self._listeners["joined"], node_id)

    def node_left(self, node_id: NodeId, reason: str) -> None:
        """Another node is gone."""
        self._tell("left", self._listeners["left"], node_id, reason)

    def bus_gap(self, gap: BusGap) -> None:
        """Messages of another node are lost."""
        self._tell("bus_gap", self._gap_listeners, gap)

    def _tell(self, event: str, listeners: list[Callable[..., Any]], *args: Any) -> None:
        for function in listeners:
            try:
                result = function(*args)
            except Exception:
                log.exception("node_listener_failed", event_name=event)
                continue
            if inspect.isawaitable(result):
                self._tasks.spawn(_finish(event, result))


async def _finish(event: str, result: Awaitable[Any]) -> None:
    try:
        await result
    except Exception:
        log.exception("node_listener_failed", event_name=event)
