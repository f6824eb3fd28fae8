"""Logging of the zmqio commands: structlog on standard error, as console lines on a terminal and JSON otherwise.

Only entry points use this module. The library logs through the configuration of the application.
"""

import logging
import sys
from typing import Any

import structlog

__all__ = ["LEVELS", "configure_logs"]

LEVELS = ("debug", "info", "warning", "error")


def configure_logs(log_format: str, level: str, **facts: Any) -> None:
    """Configure structlog and the standard library's logging in the same way.

    Args:
        log_format: `console`, `json`, or `auto` for `console` on a terminal and `json` otherwise.
        level: lowest level to log; one of `LEVELS`.
        facts: key-values added to every line.
    """
    on_terminal = sys.stderr.isatty()
    console = log_format == "console" or (log_format == "auto" and on_terminal)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _add_facts(facts),
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        *([] if console else [structlog.processors.format_exc_info]),
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=on_terminal) if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_level_number(level)),
        # One write per line: the processes of `zmqio serve` share their standard error.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    _configure_stdlib(shared, renderer, level)


def _configure_stdlib(shared: list[Any], renderer: Any, level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(_level_number(level), logging.WARNING))  # uvicorn's INFO lines repeat ours


def _add_facts(facts: dict[str, Any]) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        return {**facts, **event}

    return add


def _level_number(level: str) -> int:
    return int(getattr(logging, level.upper()))
