"""Uvicorn's HTTP protocol with two repairs: TCP_NODELAY is always set, and half-closed clients get their answer.

Use it as `uvicorn --http zmqio.uvicorn:HttpProtocol`; `hosting.server.serve` does so by itself.

A client that closes its sending side may still be reading, or may be gone. The application's next `receive()`
tells the two cases apart. An application that is computing an answer may finish it. An application that asks for
more after the whole body, as a long poll does, is disconnected at once, before it sends an answer that is lost.

Knows uvicorn's request cycle (see `uvicorn_contract`).
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zmqio.engine.handshake import PEER

__all__ = ["HalfClosedMessageEvent", "HttpProtocol"]

_TCP_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, repaired."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Set TCP_NODELAY, so that a small packet does not wait 20 to 40 ms for the one before it.

        asyncio sets it only on sockets that it recognises as TCP. It misses connections whose listener
        was created without a protocol number.
        """
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in _TCP_FAMILIES:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        """Note the peer of the connection, which uvicorn replaces by an address from X-Forwarded-For."""
        super().on_message_begin()
        self.scope["extensions"] = {PEER: self.client[0] if self.client else None}  # type: ignore[dict-item]

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's signature; uvicorn's returns None
        """Handle the end of the client's data; return whether the connection stays open for an answer.

        It never does under TLS, where asyncio can close only both sides.
        """
        if self.transport.get_extra_info("sslcontext") is not None:
            return False
        return _answer_half_closed(self.cycle, self.transport.close)


class HalfClosedMessageEvent:
    """Replaces the `message_event` of a request whose client sends nothing more.

    Args:
        unread: whether the application has yet to read the last part of the request.
        on_disconnect: called when the application asks for more than that.
    """

    __slots__ = ("_on_disconnect", "_unread")

    def __init__(self, unread: bool, on_disconnect: Callable[[], None]) -> None:
        self._unread = unread
        self._on_disconnect = on_disconnect

    async def wait(self) -> bool:
        """Return at once, because nothing more can arrive."""
        if not self._unread:
            self._on_disconnect()
        return True

    def clear(self) -> None:
        """Mark the last part of the request as read."""
        self._unread = False

    def set(self) -> None:
        """Do nothing: uvicorn calls this when the answer is complete, to wake an application that waits."""

    def is_set(self) -> bool:
        """Whether the last part of the request is unread."""
        return self._unread


def _answer_half_closed(cycle: Any, close: Callable[[], None]) -> bool:
    """Let the current request be answered as the last one of its connection.

    Args:
        cycle: uvicorn's `RequestResponseCycle` of the current request, or None.
        close: closes the connection.

    Returns:
        False, with nothing changed, if there is no complete request without an answer.
    """
    if cycle is None or cycle.response_complete or cycle.more_body:
        return False

    def disconnect() -> None:
        cycle.disconnected = True
        close()

    waited_for = cycle.message_event
    cycle.keep_alive = False
    cycle.message_event = HalfClosedMessageEvent(waited_for.is_set(), disconnect)
    waited_for.set()  # an application that waits gets an empty message, asks again, and is disconnected then
    return True
