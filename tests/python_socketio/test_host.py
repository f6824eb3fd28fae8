"""Tests of `zmqio.python_socketio.host`."""

from types import SimpleNamespace

import structlog

from zmqio.config import ManagerOptions
from zmqio.python_socketio.connection import ManagedConnection
from zmqio.python_socketio.host import log_slow_client


def test_the_log_line_names_the_client_and_what_waited() -> None:
    socket = SimpleNamespace(sid="eio", queue=SimpleNamespace(qsize=lambda: 3))
    with structlog.testing.capture_logs() as lines:
        log_slow_client(ManagedConnection(socket, ManagerOptions(), lambda connection: None))
    assert lines == [
        {
            "event": "client_dropped",
            "log_level": "warning",
            "sid": "eio",
            "reason": "slow client",
            "buffered_bytes": 0,
            "buffered_packets": 3,
        }
    ]
