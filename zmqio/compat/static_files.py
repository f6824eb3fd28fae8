"""An ASGI app that serves files by a mapping of paths, as `socketio.ASGIApp` does.

Source: python-engineio 4, `engineio.static_files`.
"""

import asyncio
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from zmqio.server.asgi import AsgiCallable
from zmqio.server.asgi_responses import respond_to_get, respond_with_error

__all__ = ["StaticFileApp", "StaticFileRule", "find_file"]

StaticFileRule: TypeAlias = str | Mapping[str, str]
"""A path of a file or folder, or a mapping with `filename` and optionally `content_type`."""


class StaticFileApp:
    """Serves files, and passes all other requests to another app.

    Args:
        rules: path of a URL -> file or folder. The rule with the longest matching prefix applies; the rule `""`
            names the file for paths that end with a slash.
        other_app: receives the other requests; with None they are answered with 404.
    """

    def __init__(self, rules: Mapping[str, StaticFileRule], other_app: AsgiCallable | None) -> None:
        self._rules = rules
        self._other_app = other_app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request, or the lifespan of the other app."""
        found = find_file(scope["path"], self._rules) if scope["type"] == "http" else None
        content = None if found is None else await asyncio.to_thread(_read, found[0])
        if found is not None and content is not None:
            await respond_to_get(scope, send, 200, [(b"content-type", found[1].encode())], content)
        elif self._other_app is not None:
            await self._other_app(scope, receive, send)
        elif scope["type"] == "lifespan":
            raise NotImplementedError("static files have no lifespan")
        else:
            await respond_with_error(scope, receive, send, 404, "not found")


def find_file(path: str, rules: Mapping[str, StaticFileRule]) -> tuple[str, str] | None:
    """Return the name and content type of the file for the path of a URL; None without a rule."""
    rule, rest = _rule_for(path, rules)
    if rule is None or ".." in rest.split("/"):
        return None
    given = {"filename": rule} if isinstance(rule, str) else dict(rule)
    name = given["filename"]
    name += rest.removeprefix("/") if name.endswith("/") else rest
    if name.endswith("/"):
        index = rules.get("", "index.html")
        given = {**given, **({"filename": index} if isinstance(index, str) else index)}
        name += given["filename"]
    return name, given.get("content_type") or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _rule_for(path: str, rules: Mapping[str, StaticFileRule]) -> tuple[StaticFileRule | None, str]:
    """Return the rule for the longest prefix of a path, and the part of the path that follows the prefix."""
    if path in rules:
        return rules[path], ""
    rest = ""
    while path:
        path, last = path.rsplit("/", 1) if "/" in path else ("", path)
        rest = f"/{last}{rest}"
        for prefix in (path, f"{path}/"):
            if prefix in rules:
                return rules[prefix], rest
    return None, rest


def _read(name: str) -> bytes | None:
    path = Path(name)
    return path.read_bytes() if path.is_file() else None
