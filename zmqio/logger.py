"""The loggers of zmqio: structlog, made so that a log call never fails and never waits.

Every module gets its logger here. Lines go through the application's structlog configuration. As long as the
application has not configured structlog, they go to standard output as console lines. Nothing global is changed.

- An error is logged as the text of a bounded traceback (`log_text`) in the key `traceback`, never as an object:
  structlog's renderers would print the values of all variables, which takes seconds and shows tokens.
- Texts are escaped and shortened, so that no client can forge or flood a line.
- A line that cannot be written is lost. The next one that can be written is followed by `log_lines_lost`.
"""

import os
import sys
from functools import cache
from typing import Any

import structlog

from zmqio.log_stream import LogStream
from zmqio.log_text import loggable, printable, traceback_text

__all__ = ["Logger", "get_logger"]


class Logger:
    """A logger whose methods never raise; `exc_info` is True, an exception, or None.

    Args:
        name: name of the module that logs.
    """

    def __init__(self, name: str) -> None:
        self._structlog = structlog.get_logger(name)
        self._lost = 0

    def debug(self, event: str, **facts: Any) -> None:
        """Log at DEBUG."""
        self._log("debug", event, facts)

    def info(self, event: str, **facts: Any) -> None:
        """Log at INFO."""
        self._log("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        """Log at WARNING."""
        self._log("warning", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        """Log at ERROR."""
        self._log("error", event, facts)

    def exception(self, event: str, **facts: Any) -> None:
        """Log at ERROR with the traceback of the exception that is being handled."""
        self._log("error", event, {"exc_info": True, **facts})

    def _log(self, level: str, event: str, facts: dict[str, Any]) -> None:
        try:
            line = _prepare(facts)
            try:
                self._write(level, event, line)
            except UnicodeError:  # the application's log has an encoding without these characters
                self._write(level, event, {name: _ascii(value) for name, value in line.items()})
            if self._lost:
                lost, self._lost = self._lost, 0
                self._write("warning", "log_lines_lost", {"count": lost})
        except Exception:  # noqa: BLE001 - a log that does not work must not stop what it reports on
            self._lost += 1

    def _write(self, level: str, event: str, facts: dict[str, Any]) -> None:
        if structlog.is_configured():
            getattr(self._structlog, level)(event, **facts)
            return
        if "traceback" in facts:
            facts = {**facts, "exception": facts["traceback"]}
            del facts["traceback"]
        getattr(_default_logger(), level)(event, **facts)


def get_logger(name: str) -> Logger:
    """Return the logger of a module."""
    return Logger(name)


def _prepare(facts: dict[str, Any]) -> dict[str, Any]:
    if "exc_info" not in facts:
        return {name: loggable(value) for name, value in facts.items()}
    error = facts["exc_info"]
    if error is True:
        error = sys.exc_info()[1]
    line = {name: loggable(value) for name, value in facts.items() if name != "exc_info"}
    if isinstance(error, BaseException):
        line["traceback"] = traceback_text(error)
    return line


def _ascii(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("ascii", "backslashreplace").decode()
    return value if isinstance(value, int | float | None) else printable(ascii(value))


@cache
def _default_logger() -> Any:
    """Return structlog's default console logger, with plain tracebacks and a stream that does not wait."""
    stream = LogStream(lambda: sys.stdout)
    return structlog.wrap_logger(
        structlog.WriteLogger(stream),  # type: ignore[arg-type]  # it writes and flushes, which is all that is used
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty() and "NO_COLOR" not in os.environ,
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
