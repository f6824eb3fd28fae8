"""A socket as the admin page shows it.

Source: `SerializedSocket` of @socket.io/admin-ui 0.5, `lib/typed-events.ts`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from zmqio.server.admin.clip import clip
from zmqio.server.socket import Socket

__all__ = ["describe_socket", "time_text"]

HIDDEN = "(hidden)"
_SECRET = re.compile("auth|cookie|token|secret|passw|session|jwt|credential|signature|api.?key", re.IGNORECASE)
"""Names of headers and query parameters whose values are not shown: they give access to accounts."""


def describe_socket(socket: Socket) -> dict[str, Any]:
    """Describe a socket of this process. The auth payload, cookies and tokens are left out."""
    handshake = socket.handshake
    return {
        "id": socket.id,
        "clientId": socket.connection_id,
        "transport": socket.transport,
        "nsp": socket.namespace,
        "data": clip(socket.data),
        "handshake": {
            "address": handshake.address,
            "headers": _hide(handshake.headers),
            "query": _hide(handshake.query),
            "issued": int(handshake.time * 1_000),
            "secure": handshake.secure,
            "time": time_text(handshake.time),
            "url": handshake.url.partition("?")[0],
            "xdomain": "origin" in handshake.headers,
        },
        "rooms": list(socket.rooms),
    }


def time_text(seconds: float) -> str:
    """Return a time, in seconds since 1970, in the form in which JavaScript sends dates."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _hide(values: Mapping[str, str]) -> Any:
    return clip({name: HIDDEN if _SECRET.search(name) else value for name, value in values.items()})
