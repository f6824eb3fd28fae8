"""Connections that would use the reserve of descriptors."""

import asyncio
import logging
import os

import pytest
from structlog.testing import capture_logs

from zmqio.hosting import full_process
from zmqio.hosting.full_process import refuse_if_full

HIGHEST = 1 << 30


class Transport(asyncio.Transport):
    """Records the written data."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True


def test_connection_below_the_reserve_is_not_refused() -> None:
    transport = Transport()
    assert not refuse_if_full(transport, 0)
    assert transport.written == b""
    assert not transport.is_closed


def test_connection_in_the_reserve_is_answered_503_and_logged_once_per_interval() -> None:
    full_process._log._limits.clear()
    with capture_logs() as logs:
        for _ in range(100):
            transport = Transport()
            assert refuse_if_full(transport, HIGHEST)
            head, _, body = transport.written.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"content-length: %d" % len(body) in head
            assert transport.is_closed
    assert [(line["event"], line["error"]) for line in logs] == [("accept_failed", os.strerror(24))]


def test_lines_of_asyncio_about_failed_accepts_are_limited_and_others_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refuse_if_full(Transport(), 0)
    for _ in range(100):
        logging.getLogger("asyncio").error("socket.accept() out of system resource\nsocket: 7")
        logging.getLogger("asyncio").error("something else")
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("something else") == 100
    assert sum("out of system resource" in message for message in messages) <= 1
