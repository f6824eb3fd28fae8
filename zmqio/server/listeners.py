"""Listeners of one namespace for events that do not come from clients: server-side events and room events."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from zmqio.ids import Sid
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.server.handlers import Handlers, result_args
from zmqio.server.signatures import check_function

__all__ = ["ROOM_EVENTS", "Listeners"]

log = LimitedLog(get_logger(__name__))

Function = TypeVar("Function", bound=Callable[..., Any])

ROOM_EVENTS = frozenset({"create-room", "delete-room", "join-room", "leave-room"})
"""Source: https://socket.io/docs/v4/rooms/#room-events"""
SID_EVENTS = frozenset({"join-room", "leave-room"})


class Listeners:
    """Functions for server-side events and room events of one namespace.

    Args:
        namespace: the namespace's name, for the log.
        inherited: the listeners of its parent, which are called first.
    """

    def __init__(self, namespace: str, inherited: "Listeners | None" = None) -> None:
        self._namespace = namespace
        self._inherited: Listeners | None = inherited
        server_side = None if inherited is None else inherited._server_side
        self._server_side: Handlers = Handlers(first_argument="", inherited=server_side)
        self._room: defaultdict[str, list[Callable[..., Any]]] = defaultdict(list)

    def on_server_side(self, event: str) -> Callable[[Function], Function]:
        """Decorate the function that handles a server-side event. Raises as `Handlers.add`."""

        def register(function: Function) -> Function:
            self._server_side.add(event, function)
            return function

        return register

    def on_room(self, event: str) -> Callable[[Function], Function]:
        """Decorate a function that is called for a room event.

        Raises:
            ValueError: there is no such room event.
        """
        if event not in ROOM_EVENTS:
            raise ValueError(f"unknown room event {event!r}; the events are {', '.join(sorted(ROOM_EVENTS))}")

        def register(function: Function) -> Function:
            check_function(function, f"listener of {event!r}", "room", *(("sid",) if event in SID_EVENTS else ()))
            self._room[event].append(function)
            return function

        return register

    def room_event(self, event: str, room: str, sid: Sid | None) -> None:
        """Call the listeners of a room event. Their errors are logged."""
        if self._inherited is not None:
            self._inherited.room_event(event, room, sid)
        if not self._room:
            return
        for function in self._room[event]:
            try:
                function(room) if sid is None else function(room, sid)
            except Exception:
                log.error(
                    "room_listener_failed",
                    subject=event,
                    event_name=event,
                    namespace=self._namespace,
                    exc_info=True,
                )

    async def server_side_event(self, args: Sequence[Any], respond: Callable[[list[Any]], None] | None) -> None:
        """Run the function for an event of another node, and respond with its result if a response is expected."""
        event, *values = args
        handler = self._server_side.get(event)
        if handler is None or not handler.accepts(len(values)):
            log.warning(
                "server_side_event_unhandled",
                event_name=event,
                namespace=self._namespace,
                received=len(values),
                handler_takes=handler and handler.describe_args(besides_socket=False),
            )
            return
        try:
            result = await handler.call(*values)
            if respond is not None:
                respond(result_args(result))
        except Exception:
            log.error(
                "handler_failed",
                subject=event,
                event_name=event,
                namespace=self._namespace,
                server_side=True,
                exc_info=True,
            )
