"""The logger of WebSocket connections: without lines for each connection where the access log is off.

Uvicorn writes three lines at INFO for every WebSocket ("[accepted]", "connection open", "connection closed"), also
with `--no-access-log`, so that a client can fill the log by connecting.
"""

import logging

__all__ = ["connection_logger"]

_PARENT = logging.getLogger("uvicorn.error")
_QUIET = _PARENT.getChild("websocket")


def connection_logger(*, access_log: bool) -> logging.Logger:
    """Return uvicorn's logger if `access_log`, otherwise a child of it that drops lines below WARNING."""
    if access_log:
        return _PARENT
    level = max(_PARENT.getEffectiveLevel(), logging.WARNING)
    if _QUIET.level != level:  # to set it clears the caches of all loggers
        _QUIET.setLevel(level)
    return _QUIET
