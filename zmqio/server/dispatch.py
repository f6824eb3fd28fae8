"""Passes an event packet to the application's functions, and their result back as the acknowledgement.

The order is that of the JavaScript server: catch-all listeners, the socket's own middleware, then the handler. The
handler of `*` is called for events that have no handler of their own.
"""

import asyncio
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any

from zmqio.protocol.packet import Packet, PacketType, number_text
from zmqio.server.handlers import CATCH_ALL, LIFECYCLE_EVENTS, Handler, call, own_error, result_args
from zmqio.server.observers import notify
from zmqio.server.registry import Registry
from zmqio.server.runtime import Runtime
from zmqio.server.socket import Socket

__all__ = ["EventDispatcher"]

NOT_FOR_CLIENTS = LIFECYCLE_EVENTS | {CATCH_ALL}


class EventRejected(Exception):
    """Middleware of a socket returned False."""


class EventDispatcher:
    """Calls the functions that were registered for one namespace.

    Args:
        namespace: the namespace's name.
        registry: the functions.
        runtime: the shared parts of the server.
    """

    def __init__(self, namespace: str, registry: Registry, runtime: Runtime) -> None:
        self._namespace = namespace
        self._registry = registry
        self._runtime = runtime

    async def handle(self, received: tuple[Socket, Packet]) -> None:
        """Pass an event of a socket to the application and acknowledge it with the result. Never raises."""
        socket, packet = received
        self._runtime.counters["events_received"] += 1
        event, *args = packet.data
        if type(event) is not str:
            event = number_text(event)
        if self._runtime.observers.event_received:
            notify(self._runtime.observers.event_received, socket, event, args)
        if (socket.listeners is not None or self._registry.any_listeners) and not await self._pass_middleware(
            socket, event, args
        ):
            return
        handler = None if event in NOT_FOR_CLIENTS else self._registry.handlers.get(event)
        if handler is None:
            handler, args = self._registry.handlers.get(CATCH_ALL), [event, *args]
        if handler is None or not handler.accepts(len(args) + 1):
            self._report_unhandled(handler, socket, event, args)
        else:
            await self._run(handler, socket, event, args, packet.id)

    async def handle_disconnect(self, handler: Handler, socket: Socket, reason: str) -> None:
        """Run the disconnect handler. Never raises."""
        try:
            await handler.call(*handler.usable((socket, reason)))
        except Exception as error:  # noqa: BLE001 - an application's error ends here, logged with its traceback
            self._report_failure("disconnect", socket, error)

    async def _pass_middleware(self, socket: Socket, event: str, args: list[Any]) -> bool:
        """Call the catch-all listeners, then the socket's middleware; False if middleware rejects the event."""
        any_listeners = self._registry.any_listeners
        if any_listeners:
            await self._notify(any_listeners, socket, event, (socket, event, *args))
        listeners = socket.listeners
        if listeners is None:
            return True
        await self._notify(listeners.incoming, socket, event, (event, *args))
        try:
            for middleware in tuple(listeners.middleware):
                _check_result(await call(middleware, event, args))
        except Exception:  # noqa: BLE001 - the application's middleware; logged with its traceback
            self._runtime.counters["events_rejected"] += 1
            self._runtime.notices.debug(
                "event_rejected",
                subject=self._subject(event),
                event_name=event,
                namespace=self._namespace,
                sid=socket.id,
                exc_info=True,
            )
            return False
        return True

    async def _notify(self, listeners: Sequence[Any], socket: Socket, event: str, args: tuple[Any, ...]) -> None:
        for listener in tuple(listeners):
            try:
                await call(listener, *args)
            except Exception as error:  # noqa: BLE001 - as above
                self._report_failure(event, socket, error)

    async def _run(
        self, handler: Handler, socket: Socket, event: str, args: list[Any], ack_id: int | None
    ) -> None:
        started_ns = perf_counter_ns()
        try:
            if self._runtime.tracing is not None:
                known = CATCH_ALL if self._registry.handlers.get(event) is None else event
                with self._runtime.tracing.handling(self._namespace, known, socket.id):
                    result = await handler.call(socket, *args)
            elif handler.is_async:
                result = await handler.function(socket, *args)
            else:
                result = await call(handler.function, socket, *args)
            if ack_id is not None:
                ack = Packet(PacketType.ACK, self._namespace, result_args(result), ack_id)
                socket.write(self._runtime.prepare(ack))
        except asyncio.CancelledError as error:
            self._report_failure(event, socket, own_error(handler.function, error))
        except Exception as error:  # noqa: BLE001 - as above
            self._report_failure(event, socket, error)
        finally:
            counters = self._runtime.counters
            counters["handlers_run"] += 1
            counters["handler_microseconds"] += (perf_counter_ns() - started_ns) // 1_000

    def _report_failure(self, event: str, socket: Socket, error: Exception) -> None:
        self._runtime.counters["handlers_failed"] += 1
        self._runtime.notices.error(
            "handler_failed",
            subject=self._subject(event),
            event_name=event,
            namespace=self._namespace,
            sid=socket.id,
            exc_info=error,
        )

    def _subject(self, event: str) -> str:
        """Return the subject of the log's rate limit. Unhandled events share one: clients choose their names."""
        known = event in LIFECYCLE_EVENTS or self._registry.handlers.get(event) is not None
        return f"{self._namespace} {event}" if known else self._namespace

    def _report_unhandled(self, handler: Handler | None, socket: Socket, event: str, args: list[Any]) -> None:
        if handler is None:
            self._runtime.counters["events_unhandled"] += 1
            self._runtime.notices.debug(
                "event_unhandled", event_name=event, namespace=self._namespace, sid=socket.id
            )
            return
        self._runtime.counters["events_mismatched"] += 1
        self._runtime.notices.warning(
            "event_arguments_mismatched",
            subject=self._subject(event),
            event_name=event,
            namespace=self._namespace,
            sid=socket.id,
            received=len(args),
            handler_takes=handler.describe_args(besides_socket=True),
        )


def _check_result(result: Any) -> None:
    if result is False:
        raise EventRejected
