"""Admission of a client to a namespace: runs middleware and the connect handler, and decides on a refusal.

It knows the application's functions and what their results mean. It must not know rooms, packets or connections.
"""

import asyncio
from collections.abc import Awaitable

from zmqio.exceptions import ConnectRefused
from zmqio.server.handlers import call
from zmqio.server.registry import Registry
from zmqio.server.runtime import CONNECT_TIMED_OUT, Runtime
from zmqio.server.socket import Socket

__all__ = ["Admission"]


class Admission:
    """Runs the functions of one namespace that may refuse a client.

    Args:
        namespace: the namespace's name.
        registry: the functions.
        runtime: the shared parts of the server.
    """

    def __init__(self, namespace: str, registry: Registry, runtime: Runtime) -> None:
        self._namespace = namespace
        self._registry = registry
        self._runtime = runtime

    async def pass_middleware(self, socket: Socket) -> None:
        """Call the connection middleware in order, until one refuses the client.

        Raises:
            ConnectRefused: middleware refuses the client, or has disconnected the socket.
        """
        for middleware in tuple(self._registry.middleware):
            await call(middleware, socket)
            if socket.rejected:
                raise ConnectRefused

    async def call_handler(self, socket: Socket) -> None:
        """Call the connect handler, if there is one.

        Raises:
            ConnectRefused: the handler refuses the client.
        """
        handler = self._registry.handlers.get("connect")
        if handler is not None:
            await handler.call(*handler.usable((socket, socket.handshake.auth)))

    async def refusal_of(self, step: Awaitable[None], socket: Socket) -> ConnectRefused | None:
        """Run a step of the admission; its error, if any, decides how the client is refused."""
        limit = asyncio.timeout(self._runtime.options.connect_handler_timeout_s)
        try:
            async with limit:
                await step
        except ConnectRefused as refusal:
            return refusal
        except Exception:  # noqa: BLE001 - the application's function; logged with its traceback
            if limit.expired():
                self._runtime.report_connect_timeout(self._namespace, sid=socket.id)
                return None if socket.gone_reason else ConnectRefused(CONNECT_TIMED_OUT)
            return self._report_failure(socket)
        return None

    def _report_failure(self, socket: Socket) -> ConnectRefused | None:
        facts = {"namespace": self._namespace, "sid": socket.id}
        if socket.gone_reason:  # a client that has disconnected cannot be refused
            self._runtime.notices.debug("connect_handler_interrupted", exc_info=True, **facts)
            return None
        self._runtime.counters["connect_handlers_failed"] += 1
        self._runtime.notices.error("connect_handler_failed", subject=self._namespace, exc_info=True, **facts)
        return ConnectRefused("Internal server error")
