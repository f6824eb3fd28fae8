"""Serves the files of the browser client, with an ETag and with the CORS headers of the server.

A module script of another origin needs CORS headers, so the files follow `cors_allowed_origins` as sessions do.

Source: RFC 9110, section 13.1.2 (If-None-Match); socket.io 4 (`Server.serve`) for the other headers.
"""

from collections.abc import Iterable

from zmqio.client import FILE_NAMES, client_file
from zmqio.config import EngineOptions
from zmqio.engine.cors import CorsPolicy
from zmqio.engine.handshake import read_request
from zmqio.logger import get_logger
from zmqio.server.asgi_responses import Scope, Send, respond, respond_to_get
from zmqio.trusted_proxies import TrustedProxies

__all__ = ["ClientApp"]

log = get_logger(__name__)


class ClientApp:
    """Serves the browser client.

    Args:
        options: whose pages may use the files: `cors_allowed_origins` and what belongs to it.
    """

    def __init__(self, options: EngineOptions) -> None:
        self._cors = CorsPolicy(options)
        self._proxies = TrustedProxies(options.trusted_proxies)

    @staticmethod
    def serves(scope: Scope, subpath: str) -> bool:
        """Whether a request is for one of the files; `subpath` follows the path of Socket.IO."""
        return scope["type"] == "http" and subpath.strip("/") in FILE_NAMES

    async def respond(self, scope: Scope, send: Send, subpath: str) -> None:
        """Respond to GET and HEAD with the file, or with 304 if the client has it."""
        file = client_file(subpath.strip("/"))
        headers = [
            (b"content-type", file.content_type.encode()),
            (b"cache-control", b"public, max-age=0"),
            (b"etag", file.etag.encode()),
            *self._cors_headers(scope),
        ]
        if scope["method"] in ("GET", "HEAD") and _matches(scope["headers"], file.etag):
            await respond(send, 304, headers[1:], b"", with_length=False)
        else:
            await respond_to_get(scope, send, 200, headers, file.content)

    def _cors_headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        request = read_request(scope, self._proxies)
        try:
            headers = self._cors.decide(request).headers
        except Exception:
            log.debug("client_origin_check_failed", exc_info=True)
            return []
        return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]


def _matches(headers: Iterable[tuple[bytes, bytes]], etag: str) -> bool:
    """Whether If-None-Match names the tag; a weak tag (`W/`) is compared like a strong one."""
    given = b",".join(value for name, value in headers if name.lower() == b"if-none-match").decode("latin-1")
    tags = [tag.strip().removeprefix("W/") for tag in given.split(",")]
    return etag in tags or tags == ["*"]
