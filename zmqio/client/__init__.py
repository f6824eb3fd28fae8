"""The official Socket.IO browser client, as published on npm: its bundles and their source maps, kept in memory.

Source: npm package socket.io-client, folder `dist`; file names as the JavaScript server serves them.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["FILE_NAMES", "ClientFile", "client_file"]

_STORED_NAMES = {
    name: name
    for bundle in ("socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js")
    for name in (bundle, f"{bundle}.map")
}
_STORED_NAMES["socket.io.js"] = "socket.io.min.js"  # the readable build would be 450 KB more

FILE_NAMES = frozenset(_STORED_NAMES)


@dataclass(frozen=True, slots=True)
class ClientFile:
    """One file of the client.

    Attributes:
        content: the file.
        content_type: for HTTP.
        etag: for HTTP, with its quotes; changes with the content.
    """

    content: bytes
    content_type: str
    etag: str


def client_file(name: str) -> ClientFile:
    """Return one of `FILE_NAMES`; read from disk when first used."""
    return _load(_STORED_NAMES[name])


@cache
def _load(stored_name: str) -> ClientFile:
    content = (Path(__file__).parent / stored_name).read_bytes()
    kind = "json" if stored_name.endswith(".map") else "javascript"
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return ClientFile(content, f"application/{kind}; charset=utf-8", etag)
