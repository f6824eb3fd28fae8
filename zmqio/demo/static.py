"""The page's files as a small ASGI app. It serves a fixed set of files, so no path leads outside the folder."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["PAGE", "StaticFiles"]

PAGE = Path(__file__).parent / "page"
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = "default-src 'self'; connect-src 'self' ws: http://127.0.0.1:*; img-src 'self' data:"


class StaticFiles:
    """Serves the files of a folder, and `config.json`.

    Args:
        folder: the folder; its files are read once, at construction.
        config: returns the content of `config.json`; called for each request.
    """

    def __init__(self, folder: Path, config: Callable[[], Mapping[str, Any]]) -> None:
        self._files = {f"/{file.name}": file.read_bytes() for file in folder.iterdir() if file.is_file()}
        self._files["/"] = self._files["/index.html"]
        self._config = config

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one HTTP request. Reject WebSockets."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4404})
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"ASGI scope {scope['type']!r} is not supported")
        path = scope["path"]
        if path == "/config.json":
            await _respond(send, 200, "application/json", json.dumps(self._config()).encode())
        elif path in self._files:
            media_type = MEDIA_TYPES[Path(path).suffix or ".html"]
            await _respond(send, 200, media_type, self._files[path])
        else:
            await _respond(send, 404, "text/plain", b"Not found; the chat page is at /\n")


async def _respond(send: Any, status: int, media_type: str, body: bytes) -> None:
    headers = [
        (b"content-type", f"{media_type}; charset=utf-8".encode()),
        (b"content-length", str(len(body)).encode()),
        (b"content-security-policy", POLICY.encode()),
        (b"cache-control", b"no-cache"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
