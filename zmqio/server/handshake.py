"""The data with which a client connected to a namespace.

Source: the fields of `socket.handshake` in Socket.IO v4,
    https://socket.io/docs/v4/server-socket-instance/#sockethandshake
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zmqio.engine.server import ClientRequest

__all__ = ["Handshake"]


@dataclass(frozen=True, slots=True)
class Handshake:
    """The data with which a client connected to a namespace; available as `socket.handshake`.

    Attributes:
        headers: headers of the first HTTP request; names in lower case, repeated headers joined by ", ".
        query: query parameters of the first HTTP request; the last value of repeated parameters.
        auth: the payload of the client's CONNECT packet; `{}` if it sent none.
        address: the client's host as reported by the ASGI server; "" if unknown.
        secure: whether the first request used TLS.
        time: when the connection was established, in seconds since 1970.
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
        """Create it from the first HTTP request and the CONNECT payload."""
        return cls(
            headers=request.headers,
            query=request.parameters,
            auth=auth,
            address=request.address,
            secure=request.secure,
            time=request.time,
            url=f"{request.path}?{request.query}" if request.query else request.path,
        )

    def describe(self) -> dict[str, Any]:
        """Return the fields as JSON-like values, for other nodes."""
        return {
            "headers": dict(self.headers),
            "query": dict(self.query),
            "auth": self.auth,
            "address": self.address,
            "secure": self.secure,
            "time": self.time,
            "url": self.url,
        }
