"""What is known of a client from the moment that it connected.

Source: the fields of `socket.handshake` in Socket.IO v4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from zmqio.engine.server import ClientRequest

__all__ = ["Handshake"]


@dataclass(frozen=True, slots=True)
class Handshake:
    """How a client introduced itself to a namespace.

    Attributes:
        headers: of the first HTTP request; names in lower case, repeated ones joined by ", ".
        query: of the first HTTP request; of repeated names the last value.
        auth: the object that the client sent with CONNECT; empty if it sent none.
        address: host of the peer, as far as the ASGI server knows; "" if it does not.
        secure: whether the first request came over TLS.
        time: seconds since 1970 when the connection was made.
        url: path and query of the first HTTP request.
    """

    headers: Mapping[str, str]
    query: Mapping[str, str]
    auth: Any
    address: str
    secure: bool
    time: float
    url: str

    @classmethod
    def of(cls, request: ClientRequest, auth: Any) -> "Handshake":
        """Take it from the first HTTP request and the CONNECT payload."""
        return cls(
            headers=request.headers,
            query=dict(parse_qsl(request.query, keep_blank_values=True)),
            auth=auth,
            address=request.address,
            secure=request.secure,
            time=request.time,
            url=f"{request.path}?{request.query}" if request.query else request.path,
        )

    def describe(self) -> dict[str, Any]:
        """The same as JSON-like values, for other nodes."""
        return {
            "headers": dict(self.headers),
            "query": dict(self.query),
            "auth": self.auth,
            "address": self.address,
            "secure": self.secure,
            "time": self.time,
            "url": self.url,
        }
