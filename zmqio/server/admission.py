"""Admission of a client to a namespace: runs middleware and the connect handler, and decides on a refusal.

It knows the application's functions and what their results mean. It must not know rooms, packets or connections.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from zmqio.engine.eager import begin
from zmqio.engine.server import Prepared
from zmqio.exceptions import ConnectRefused, PacketError
from zmqio.logger import get_logger
from zmqio.protocol.packet import Packet, PacketType
from zmqio.server.handlers import call
from zmqio.server.registry import Registry
from zmqio.server.runtime import CONNECT_TIMED_OUT, Runtime
from zmqio.server.socket import Socket

__all__ = ["Admission"]

log = get_logger("zmqio.server")

INTERNAL_ERROR = "Internal server error"
REJECTED = "Connection rejected by server"
"""The message to a client that a function refused by returning False. Source: python-socketio 5."""


class Admission:
    """Runs the functions of one namespace that may refuse a client: by raising, or by returning False.

    Args:
        namespace: the namespace's name.
        registry: the functions.
        runtime: the shared parts of the server.
    """

    def __init__(self, namespace: str, registry: Registry, runtime: Runtime) -> None:
        self._namespace = namespace
        self._registry = registry
        self._runtime = runtime
        self._result_reported = False

    async def pass_middleware(self, socket: Socket) -> None:
        """Call the connection middleware in order, until one refuses the client.

        Raises:
            ConnectRefused: middleware refuses the client, or has disconnected the socket.
        """
        for middleware in tuple(self._registry.middleware):
            self._check_result(middleware, await call(middleware, socket))
            if socket.rejected:
                raise ConnectRefused

    async def call_handler(self, socket: Socket) -> None:
        """Call the connect handler, if there is one.

        Raises:
            ConnectRefused: the handler refuses the client.
        """
        handler = self._registry.handlers.get("connect")
        if handler is not None:
            result = await handler.call(*handler.usable((socket, socket.handshake.auth)))
            self._check_result(handler.function, result)

    async def refusal_of(self, step: Coroutine[Any, Any, None], socket: Socket) -> ConnectRefused | None:
        """Run a step of the admission; its error, if any, decides how the client is refused.

        A step that never waits needs no timer for its time limit.
        """
        limit = asyncio.timeout(self._runtime.options.connect_handler_timeout_s)
        try:
            rest = begin(step)
            if rest is not None:
                async with limit:
                    await rest
        except ConnectRefused as refusal:
            # A new exception: the traceback of `refusal` refers to the callers' frames, which refer to what is
            # returned.
            return ConnectRefused(refusal.message, refusal.data)
        except Exception:  # noqa: BLE001 - the application's function; logged with its traceback
            if limit.expired():
                self._runtime.report_connect_timeout(self._namespace, sid=socket.id)
                return None if socket.gone_reason else ConnectRefused(CONNECT_TIMED_OUT)
            return self._report_failure(socket)
        return None

    def encode_refusal(self, refusal: ConnectRefused) -> Prepared:
        """Encode the CONNECT_ERROR packet of a refusal, without its values if they cannot be sent."""
        data = {"message": refusal.message}
        if refusal.data is not None:
            data["data"] = refusal.data
        try:
            return self._runtime.prepare(Packet(PacketType.CONNECT_ERROR, self._namespace, data))
        except PacketError as error:
            self._runtime.counters["connect_handlers_failed"] += 1
            self._runtime.notices.error(
                "connect_handler_failed", subject=self._namespace, namespace=self._namespace, exc_info=error
            )
            internal = {"message": INTERNAL_ERROR}
            return self._runtime.prepare(Packet(PacketType.CONNECT_ERROR, self._namespace, internal))

    def _check_result(self, function: Callable[..., Any], result: Any) -> None:
        """Refuse the client if the function returned False; note once that any other value has no effect."""
        if result is False:
            raise ConnectRefused(REJECTED)
        if result is not None and not self._result_reported:
            self._result_reported = True
            log.warning(
                "result_ignored",
                namespace=self._namespace,
                function=getattr(function, "__qualname__", repr(function)),
                type=type(result).__name__,
                remedy="return nothing; raise ConnectRefused, or return False, to refuse the client",
            )

    def _report_failure(self, socket: Socket) -> ConnectRefused | None:
        facts = {"namespace": self._namespace, "sid": socket.id}
        if socket.gone_reason:  # a client that has disconnected cannot be refused
            self._runtime.notices.debug("connect_handler_interrupted", exc_info=True, **facts)
            return None
        self._runtime.counters["connect_handlers_failed"] += 1
        self._runtime.notices.error("connect_handler_failed", subject=self._namespace, exc_info=True, **facts)
        return ConnectRefused(INTERNAL_ERROR)
