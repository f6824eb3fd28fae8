"""What a worker has to know of how its connections are served; who only hands it on loads no server."""

from dataclasses import dataclass

__all__ = ["HttpOptions"]


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How connections are served.

    Attributes:
        trusted_proxies: addresses and networks separated by commas, whose X-Forwarded-* headers are believed.
        ssl_certfile, ssl_keyfile: paths of PEM files; empty for plain HTTP. The key may be in the first.
    """

    trusted_proxies: str = ""
    ssl_certfile: str = ""
    ssl_keyfile: str = ""
