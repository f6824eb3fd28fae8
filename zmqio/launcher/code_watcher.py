"""Notice changed Python files, for `--reload`."""

from collections.abc import Callable
from pathlib import Path

import structlog

from zmqio.exceptions import ConfigError

__all__ = ["code_changes"]

log = structlog.get_logger(__name__)

NAMED = 3
"""How many of the changed files a log line names."""


async def code_changes(changed: Callable[[], None], folder: Path | None = None) -> None:
    """Call `changed` whenever Python files below `folder` have changed (the current one); ends by cancellation.

    Raises:
        ConfigError: `watchfiles` is not there.
    """
    try:
        from watchfiles import PythonFilter, awatch
    except ImportError:
        raise ConfigError("reload needs the package watchfiles, which `uvicorn[standard]` brings") from None
    async for found in awatch(folder or Path.cwd(), watch_filter=PythonFilter()):
        paths = sorted(path for _, path in found)
        log.info("code_changed", files=paths[:NAMED], more=max(0, len(paths) - NAMED))
        changed()
