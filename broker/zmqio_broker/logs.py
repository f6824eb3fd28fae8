"""Logging of the broker: structlog, one line per event, on standard error."""

import logging
import sys
from typing import Literal, TextIO

import structlog

from zmqio_broker.log_stream import LossyStream

__all__ = ["LEVELS", "LogFormat", "configure_logs"]

LogFormat = Literal["auto", "console", "json"]
LEVELS = ("debug", "info", "warning", "error")


def configure_logs(log_format: LogFormat, level: str, stream: TextIO | None = None) -> None:
    """Configure structlog for this process.

    Args:
        log_format: `console` for people, `json` for machines, `auto` for `console` on a terminal and `json`
            otherwise.
        level: lowest level to log; one of `LEVELS`.
        stream: destination of the lines; None for standard error.
    """
    target = stream or sys.stderr
    console = log_format == "console" or (log_format == "auto" and target.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer(colors=target.isatty()) if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if console else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(LossyStream(target)),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
