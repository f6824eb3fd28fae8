"""uvicorn with its defaults, except for its WebSocket pings."""

from typing import Any

import uvicorn

__all__ = ["run_stock_uvicorn"]


def run_stock_uvicorn(app: Any, port: int) -> None:
    """Serve until the process is killed.

    Without WebSocket pings: a client of the benchmark does not read while others are measured.
    """
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False, ws_ping_interval=None)
