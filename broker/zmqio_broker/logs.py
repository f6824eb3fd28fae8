"""How the broker logs: structlog, one line per event, to standard error."""

import logging
import sys
from typing import Literal, TextIO

import structlog

__all__ = ["LEVELS", "LogFormat", "configure_logs"]

LogFormat = Literal["auto", "console", "json"]
LEVELS = ("debug", "info", "warning", "error")


def configure_logs(log_format: LogFormat, level: str, stream: TextIO | None = None) -> None:
    """Configure structlog for this process.

    Args:
        log_format: `console` for people, `json` for machines, `auto` for the one that fits `stream`: a terminal
            gets `console`, anything else `json`.
        level: lowest level that is logged; one of `LEVELS`.
        stream: where lines go; None for standard error.
    """
    target = stream or sys.stderr
    for_people = log_format == "console" or (log_format == "auto" and target.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer(colors=target.isatty())
        if for_people
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if for_people else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(_Forgiving(target)),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )


class _Forgiving:
    """A stream whose reader may have gone away: then lines are dropped and the broker goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            return 0

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return
