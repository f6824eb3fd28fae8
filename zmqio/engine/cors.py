"""The CORS rules: the pages that may use this server, and the response headers for browsers. Pure.

Credentials are allowed only for origins that are listed, accepted by the application's function, or the server's
own. `"*"` allows every other origin without credentials.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol. The headers are those of the npm package cors, which
engine.io 6 uses. Unlike there, a refused origin gets status 403, because browsers do not apply CORS to WebSockets.
"""

import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from zmqio.config import EngineOptions
from zmqio.engine.handshake import ClientRequest

__all__ = ["ANY_ORIGIN", "CorsDecision", "CorsPolicy", "own_origins"]

Headers: TypeAlias = tuple[tuple[str, str], ...]

ANY_ORIGIN = "*"
METHODS = "OPTIONS, GET, POST"


@dataclass(frozen=True, slots=True)
class CorsDecision:
    """The answer to one request's `Origin`.

    Attributes:
        allowed: whether the request is served. Always True without an `Origin`, which only browsers send.
        headers: names and values for every response to the request.
    """

    allowed: bool
    headers: Headers = ()


UNRESTRICTED = CorsDecision(allowed=True)


class CorsPolicy:
    """The rules of `cors_allowed_origins` and `cors_credentials`.

    Args:
        options: options of the engine.

    Attributes:
        enabled: False with `cors_allowed_origins=()`: no headers, no checks.
    """

    def __init__(self, options: EngineOptions) -> None:
        origins = options.cors_allowed_origins
        self._function: Callable[[str], bool] | None = origins if callable(origins) else None
        self._listed = _listed(origins)
        self._only_own = origins is None
        self._with_credentials = options.cors_credentials
        self.enabled = self._only_own or self._function is not None or bool(self._listed)

    def decide(self, request: ClientRequest) -> CorsDecision:
        """Decide about a request; raises what the application's function raises."""
        origin = request.headers.get("origin")
        if origin is None or not self.enabled:
            return UNRESTRICTED
        vary = ("Vary", "Origin")
        if self._is_listed(origin, request):
            credentials = (("Access-Control-Allow-Credentials", "true"),) if self._with_credentials else ()
            allow = (("Access-Control-Allow-Origin", origin), *credentials, vary)
        elif ANY_ORIGIN in self._listed:
            allow = (("Access-Control-Allow-Origin", ANY_ORIGIN), *([vary] if len(self._listed) > 1 else []))
        else:
            return CorsDecision(allowed=False, headers=(vary,))
        return CorsDecision(allowed=True, headers=(*allow, *_preflight_headers(request)))

    def _is_listed(self, origin: str, request: ClientRequest) -> bool:
        if self._function is not None:
            return _truth(self._function(origin))
        return origin in (own_origins(request) if self._only_own else self._listed - {ANY_ORIGIN})


def own_origins(request: ClientRequest) -> Collection[str]:
    """Return the origins under which the client may have reached this server.

    `X-Forwarded-Host` counts only from a trusted proxy. If it has several values, only the last counts, because
    that proxy itself wrote it.
    """
    scheme = "https" if request.secure else "http"
    hosts = [request.headers.get("host", "")]
    if request.proxied:
        hosts.append(request.headers.get("x-forwarded-host", "").rpartition(",")[2].strip())
    return {f"{scheme}://{host}" for host in hosts if host}


def _listed(origins: str | Sequence[str] | Callable[[str], bool] | None) -> frozenset[str]:
    if origins is None or callable(origins):
        return frozenset()
    return frozenset([origins] if isinstance(origins, str) else origins)


def _truth(answer: object) -> bool:
    if inspect.iscoroutine(answer):
        answer.close()
    if inspect.isawaitable(answer):  # as a bool it is always True, whatever its result
        raise TypeError("the function cors_allowed_origins returned an awaitable; it must return a bool")
    return bool(answer)


def _preflight_headers(request: ClientRequest) -> Headers:
    if request.method != "OPTIONS":
        return ()
    methods = (("Access-Control-Allow-Methods", METHODS),)
    wanted = request.headers.get("access-control-request-headers")
    if wanted is None:
        return methods
    return (*methods, ("Access-Control-Allow-Headers", wanted), ("Vary", "Access-Control-Request-Headers"))
