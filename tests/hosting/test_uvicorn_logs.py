"""Uvicorn's handlers of the standard streams, on pipes that nobody reads."""

import io
import logging
import os
import sys
from collections.abc import Iterator

import pytest

from zmqio.hosting.uvicorn_logs import keep_logs_from_blocking

NAMES = ("uvicorn", "uvicorn.access", "uvicorn.error")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [logger.handlers for logger in loggers]
    for logger in loggers:
        logger.handlers = []
    yield
    for logger, kept in zip(loggers, before, strict=True):
        logger.handlers = kept


def test_lines_that_nobody_reads_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as reading, open(writer, "w") as output:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", output)
        logger = logging.getLogger("uvicorn.access")
        logger.addHandler(logging.StreamHandler(sys.stdout))
        keep_logs_from_blocking()
        for _ in range(1_000):
            logger.error("x" * 1_000)
        os.set_blocking(reader, False)
        while reading.read(1 << 16):
            pass
        logger.error("read again")
        written = reading.read(1 << 16).decode()
        assert "read again\n" in written
        assert "log lines were lost" in written


def test_other_handlers_are_left_alone() -> None:
    buffer = io.StringIO()
    own = logging.StreamHandler(buffer)
    logging.getLogger("uvicorn").addHandler(own)
    keep_logs_from_blocking()
    assert own.stream is buffer
