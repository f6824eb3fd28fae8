import io
import json
from collections.abc import Iterator

import pytest
import structlog
from zmqio_broker.logs import configure_logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class BrokenPipe(io.StringIO):
    """A pipe whose reader has closed it."""

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


@pytest.fixture(autouse=True)
def default_logs() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_auto_writes_json_without_a_terminal() -> None:
    stream = io.StringIO()
    configure_logs("auto", "info", stream)
    structlog.get_logger().info("broker_started", control="tcp://h:1")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["control"]) == ("broker_started", "info", "tcp://h:1")
    assert line["timestamp"].endswith("Z")


def test_auto_writes_console_lines_on_a_terminal() -> None:
    stream = Terminal()
    configure_logs("auto", "info", stream)
    structlog.get_logger().info("broker_started")
    assert "broker_started" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_lower_levels_are_not_logged() -> None:
    stream = io.StringIO()
    configure_logs("json", "warning", stream)
    structlog.get_logger().info("broker_started")
    assert stream.getvalue() == ""


def test_errors_are_logged_with_their_traceback() -> None:
    stream = io.StringIO()
    configure_logs("json", "info", stream)
    structlog.get_logger().error("broker_failed", exc_info=OSError("disk full"))
    assert "disk full" in json.loads(stream.getvalue())["exception"]


def test_broken_pipe_raises_no_error() -> None:
    configure_logs("json", "info", BrokenPipe())
    structlog.get_logger().info("broker_started")
