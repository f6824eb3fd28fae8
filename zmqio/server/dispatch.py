"""From an event packet to the application's function, and back with its acknowledgement.

In the order of the JavaScript server: catch-all listeners, the socket's own middleware, then the handler.
"""

from collections.abc import Sequence
from typing import Any

import structlog

from zmqio.protocol.packet import Packet, PacketType
from zmqio.server.handlers import LIFECYCLE_EVENTS, Handler, call, result_args
from zmqio.server.registry import Registry
from zmqio.server.runtime import Runtime
from zmqio.server.socket import Socket

__all__ = ["EventDispatcher"]

log = structlog.get_logger(__name__)


class EventDispatcher:
    """Calls the functions of one namespace.

    Args:
        namespace: its name.
        registry: what was registered.
        runtime: the parts of the server.
    """

    def __init__(self, namespace: str, registry: Registry, runtime: Runtime) -> None:
        self._namespace = namespace
        self._registry = registry
        self._runtime = runtime

    async def handle(self, socket: Socket, packet: Packet) -> None:
        """Hand an event to the application; its result acknowledges it. Raises nothing."""
        event, *args = packet.data
        if await self._admit(socket, event, args):
            await self._to_handler(socket, event, args, packet.id)

    async def disconnected(self, handler: Handler, socket: Socket, reason: str) -> None:
        """Run the disconnect handler. Raises nothing."""
        try:
            await handler.call(*handler.usable((socket, reason)))
        except Exception as error:  # noqa: BLE001 - an application's error ends here, logged with its traceback
            self._failed("disconnect", socket, error)

    async def _admit(self, socket: Socket, event: str, args: list[Any]) -> bool:
        """Tell the listeners, then ask the socket's middleware."""
        listeners = self._registry.any_listeners
        if listeners:
            await self._tell(listeners, socket, event, (socket, event, *args))
        taps = socket.taps
        if taps is None:
            return True
        await self._tell(taps.incoming, socket, event, (event, *args))
        try:
            for middleware in tuple(taps.middleware):
                await call(middleware, event, args)
        except Exception:
            self._runtime.counters["events_rejected"] += 1
            log.debug("event_rejected", event_name=event, namespace=self._namespace, sid=socket.id, exc_info=True)
            return False
        return True

    async def _tell(self, listeners: Sequence[Any], socket: Socket, event: str, args: tuple[Any, ...]) -> None:
        for listener in tuple(listeners):
            try:
                await call(listener, *args)
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(event, socket, error)

    async def _to_handler(self, socket: Socket, event: str, args: list[Any], ack_id: int | None) -> None:
        handler = None if event in LIFECYCLE_EVENTS else self._registry.handlers.get(event)
        if handler is None:
            log.debug("event_without_handler", event_name=event, namespace=self._namespace, sid=socket.id)
        elif not handler.accepts(len(args) + 1):
            self._mismatch(handler, event, args, socket)
        else:
            await self._run(handler, socket, event, args, ack_id)

    async def _run(
        self, handler: Handler, socket: Socket, event: str, args: list[Any], ack_id: int | None
    ) -> None:
        try:
            result = await handler.call(socket, *args)
            if ack_id is not None:
                answer = Packet(PacketType.ACK, self._namespace, result_args(result), ack_id)
                socket.write(self._runtime.prepare(answer))
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(event, socket, error)

    def _failed(self, event: str, socket: Socket, error: Exception) -> None:
        self._runtime.counters["handlers_failed"] += 1
        log.error("handler_failed", event_name=event, namespace=self._namespace, sid=socket.id, exc_info=error)

    def _mismatch(self, handler: Handler, event: str, args: list[Any], socket: Socket) -> None:
        self._runtime.counters["events_with_wrong_arguments"] += 1
        self._runtime.notices.warning(
            "event_arguments_mismatch",
            event_name=event,
            namespace=self._namespace,
            sid=socket.id,
            received=len(args),
            handler_takes=handler.describe_args(besides_socket=True),
        )
