"""HTTP settings of a worker. A module of its own, so that the supervisor need not import uvicorn."""

from dataclasses import dataclass

__all__ = ["HttpOptions"]


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """Options of the HTTP server for its connections.

    Attributes:
        trusted_proxies: addresses and networks, separated by commas, whose X-Forwarded-* headers are trusted.
        ssl_certfile, ssl_keyfile: paths of PEM files; empty for plain HTTP. The first may contain the key.
        access_log: whether to log each request and each WebSocket.
    """

    trusted_proxies: str = ""
    ssl_certfile: str = ""
    ssl_keyfile: str = ""
    access_log: bool = False
