"""The WSGI environment of a client, made from its handshake. Pure.

Source: PEP 3333; python-engineio's `translate_request` for ASGI.
"""

from typing import Any

from zmqio.compat.not_offered import PAGE
from zmqio.server.handshake import Handshake

__all__ = ["ClientEnviron", "make_environ"]

_WITHOUT_PREFIX = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


class ClientEnviron(dict[str, Any]):
    """The environment of one client: the same dict as long as the client is connected, so it may be written to.

    Raises:
        KeyError: the name is unknown. The text explains that only the request itself is known.
    """

    def __missing__(self, name: str) -> Any:
        raise KeyError(f"{name!r} is not known about this client; zmqio keeps only its first request ({PAGE})")


def make_environ(handshake: Handshake) -> ClientEnviron:
    """Return the environment of a client. Its `asgi.scope` has only what the request itself contained."""
    path, _, query = handshake.url.partition("?")
    scheme = "https" if handshake.secure else "http"
    environ = ClientEnviron(
        {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "RAW_URI": handshake.url,
            "SCRIPT_NAME": "",
            "SERVER_NAME": "asgi",
            "SERVER_PORT": "0",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_SOFTWARE": "asgi",
            "REMOTE_ADDR": handshake.address,
            "REMOTE_PORT": "0",
            "wsgi.url_scheme": scheme,
            "asgi.scope": _scope(handshake, path, query, scheme),
        }
    )
    for name, value in handshake.headers.items():
        environ[_WITHOUT_PREFIX.get(name) or f"HTTP_{name.upper().replace('-', '_')}"] = value
    return environ


def _scope(handshake: Handshake, path: str, query: str, scheme: str) -> ClientEnviron:
    return ClientEnviron(
        {
            "type": "http",
            "method": "GET",
            "scheme": scheme,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in handshake.headers.items()],
            "client": (handshake.address, 0) if handshake.address else None,
        }
    )
