"""Detect changed Python files, for `--reload`."""

from collections.abc import Callable
from pathlib import Path

from zmqio.exceptions import ConfigError
from zmqio.logger import get_logger

__all__ = ["watch_code"]

log = get_logger(__name__)

MAX_FILES_LOGGED = 3
"""Most changed files that a log line names; beyond that, it states their number."""


async def watch_code(on_change: Callable[[], None], folder: Path | None = None) -> None:
    """Call `on_change` whenever Python files below `folder` change (default: the current folder), until cancelled.

    Raises:
        ConfigError: the package `watchfiles` is not installed.
    """
    try:
        from watchfiles import PythonFilter, awatch
    except ImportError:
        raise ConfigError("--reload needs the package watchfiles; run: pip install 'zmqio[server]'") from None
    async for changes in awatch(folder or Path.cwd(), watch_filter=PythonFilter()):
        paths = sorted(path for _, path in changes)
        log.info("code_changed", files=paths[:MAX_FILES_LOGGED], more=max(0, len(paths) - MAX_FILES_LOGGED))
        on_change()
