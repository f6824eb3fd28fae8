"""Tests of `zmqio.hosting.websocket_log`."""

import logging

import pytest

from zmqio.hosting.websocket_log import connection_logger


def test_lines_of_each_connection_follow_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="uvicorn.error"):
        connection_logger(access_log=True).info("connection open")
        connection_logger(access_log=False).info("connection open")
        connection_logger(access_log=False).warning("kept")
    assert [record.message for record in caplog.records] == ["connection open", "kept"]


def test_level_is_never_below_that_of_uvicorn(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="uvicorn.error"):
        connection_logger(access_log=False).warning("dropped")
    assert not caplog.records
