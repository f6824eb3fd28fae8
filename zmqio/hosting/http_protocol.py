"""uvicorn's HTTP protocol with two repairs: small packets leave at once, and a half-closed client gets its answer.

Use it as `uvicorn --http zmqio.uvicorn:HttpProtocol` or `Config(http=HttpProtocol)`; `hosting.server.serve` does.
"""

import asyncio
import socket

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zmqio.hosting.half_closed import half_close

__all__ = ["HttpProtocol"]

_TCP_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Set TCP_NODELAY, so that a small packet does not wait 20 to 40 ms for the one before it.

        asyncio sets it only on sockets that it recognises as TCP. It misses connections whose listener
        was created without a protocol number.
        """
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in _TCP_FAMILIES:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    def eof_received(self) -> bool:  # type: ignore[override]  # of asyncio, where uvicorn's returns None
        """Handle the end of the client's data; return whether the connection stays open for an answer.

        Under TLS it never does: asyncio can close only both sides.
        """
        if self.transport.get_extra_info("sslcontext") is not None:
            return False
        return half_close(self.cycle, self.transport.close)
