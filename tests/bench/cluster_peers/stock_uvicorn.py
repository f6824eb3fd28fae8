"""uvicorn with its defaults, except for its WebSocket pings and for options of a contestant."""

from typing import Any

import uvicorn

__all__ = ["run_stock_uvicorn"]


def run_stock_uvicorn(app: Any, port: int, **options: Any) -> None:
    """Serve until the process is killed.

    Without WebSocket pings: a client of the benchmark does not read while others are measured.
    """
    options |= {"log_config": None, "access_log": False, "ws_ping_interval": None}
    uvicorn.run(app, host="127.0.0.1", port=port, **options)
