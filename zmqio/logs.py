"""Logging of the zmqio commands: structlog on standard error, as console lines on a terminal and JSON otherwise.

Only entry points use this module. The library logs through the configuration of the application. Lines that cannot
be written (no reader, a full disk) are lost, and the process continues.
"""

import contextlib
import logging
import sys
from typing import Any

import structlog

from zmqio.log_stream import LogStream
from zmqio.log_text import traceback_text

__all__ = ["LEVELS", "configure_logs", "print_error"]

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
        _show_error,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=on_terminal, exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    stream: Any = _LossyLog([*shared, renderer])
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_level_number(level)),
        # One write per line: the processes of `zmqio serve` share their standard error.
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    _configure_stdlib(shared, renderer, level, stream)


def print_error(text: str) -> None:
    """Write a text to standard error as it is. Where that is impossible, the text is lost."""
    with contextlib.suppress(OSError, ValueError):
        LogStream(lambda: sys.stderr).write(text)


def _configure_stdlib(shared: list[Any], renderer: Any, level: str, stream: Any) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(_level_number(level), logging.WARNING))  # uvicorn's INFO lines repeat ours


class _LossyLog(LogStream):
    """Loses lines that cannot be written, and reports their number when one can be written again.

    Args:
        processors: turn an event into a line, in order.
    """

    def __init__(self, processors: list[Any]) -> None:
        super().__init__(lambda: sys.stderr)
        self._processors = processors
        self._lost = 0

    def write(self, text: str) -> int:
        try:
            written = super().write(text)
            if self._lost:
                super().write(self._lost_line())
        except (OSError, ValueError):
            self._lost += 1
            return 0
        self._lost = 0
        return written

    def _lost_line(self) -> str:
        line: Any = {"event": "log_lines_lost", "count": self._lost}
        for process in self._processors:
            line = process(None, "warning", line)
        return f"{line}\n"


def _show_error(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Turn an error into a traceback without the values of variables, unless `zmqio.logger` has done that."""
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error is True:
        error = sys.exc_info()[1]
    text = event.pop("traceback", None) or (traceback_text(error) if isinstance(error, BaseException) else None)
    return event if text is None else {**event, "exception": text}


def _add_facts(facts: dict[str, Any]) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        return {**facts, **event}

    return add


def _level_number(level: str) -> int:
    return int(getattr(logging, level.upper()))
