"""Origins and cookies: our options and requests in the form in which python-engineio's rules read them. Pure."""

from collections.abc import Mapping
from typing import Any

from zmqio.config import EngineOptions
from zmqio.engine.handshake import ClientRequest

__all__ = ["cookie_attributes", "cors_environ", "cors_origins"]


def cors_origins(options: EngineOptions) -> Any:
    """As python-engineio takes it: a list, text, a function, or None."""
    origins = options.cors_allowed_origins
    return origins if origins is None or isinstance(origins, str) or callable(origins) else list(origins)


def cors_environ(request: ClientRequest) -> dict[str, str]:
    """What python-engineio's CORS rules read, in the form of a WSGI environment."""
    environ = {"REQUEST_METHOD": request.method, "wsgi.url_scheme": "https" if request.secure else "http"}
    for name in ("origin", "host", "x-forwarded-proto", "x-forwarded-host", "access-control-request-headers"):
        if name in request.headers:
            environ["HTTP_" + name.upper().replace("-", "_")] = request.headers[name]
    return environ


def cookie_attributes(cookie: str | Mapping[str, str | bool]) -> dict[str, str | bool]:
    """The attributes of the session cookie, `name` among them; what is False is left out.

    Source: engine.io 6: `{ name: "io", path: "/", httpOnly: true, sameSite: "lax" }`.
    """
    defaults: dict[str, str | bool] = {"name": "io", "Path": "/", "HttpOnly": True, "SameSite": "Lax"}
    given: Mapping[str, str | bool] = {"name": cookie} if isinstance(cookie, str) else cookie
    lower = {name.lower() for name in given}
    merged = {name: value for name, value in defaults.items() if name.lower() not in lower} | dict(given)
    return {name: value for name, value in merged.items() if value is not False}
