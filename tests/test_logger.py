"""A log call never fails, never shows values, and changes no configuration of the application."""

import json
import subprocess
import sys
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from zmqio.logger import get_logger

RAISE = """
def handler(token, arguments):
    raise ValueError("on purpose")

deep = []
for _ in range(900):
    deep = [deep]
try:
    handler("SECRET", deep)
except ValueError as error:
    log.exception("handler_failed", event_name="x\\r\\nforged", accent="Grüße")
"""
UNCONFIGURED = f"""
import structlog
import zmqio, zmqio.server.server
assert not structlog.is_configured()
from zmqio.logger import get_logger
log = get_logger("x")
{RAISE}
assert not structlog.is_configured()
"""
CONFIGURED = f"""
import structlog
structlog.configure(processors=[*structlog.get_config()["processors"]])
from zmqio.logger import get_logger
log = get_logger("x")
{RAISE}
"""


def run(program: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; it must not fail."""
    options = {"stdout": subprocess.PIPE, **options}
    return subprocess.run(
        [sys.executable, "-c", program], text=True, check=True, stderr=subprocess.PIPE, **options
    )


@pytest.mark.parametrize("program", [UNCONFIGURED, CONFIGURED])
def test_traceback_has_no_values_whether_structlog_is_configured_or_not(program: str) -> None:
    output = run(program).stdout
    assert "handler_failed" in output
    assert "ValueError: on purpose" in output
    assert "SECRET" not in output.replace('handler("SECRET", deep)', "")
    assert not any(line.startswith("forged") for line in output.splitlines())
    assert len(output) < 3_000


@pytest.mark.parametrize("program", [UNCONFIGURED, CONFIGURED])
def test_log_in_ascii_shows_accents_escaped(program: str) -> None:
    output = run(program, env={"PYTHONIOENCODING": "ascii:strict", "PYTHONPATH": ":".join(sys.path)}).stdout
    assert "handler_failed" in output
    assert "\\xfc" in output


@pytest.mark.parametrize("program", [UNCONFIGURED, CONFIGURED])
def test_full_disk_and_closed_pipe_do_not_reach_the_caller(program: str) -> None:
    program += "\nimport os, sys; sys.stderr.write('done'); sys.stderr.flush(); os._exit(0)"
    with open("/dev/full", "w") as full:  # noqa: PTH123
        assert run(program, stdout=full).stderr == "done"
    closing = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    closing.wait()
    with closing.stdin as pipe:  # type: ignore[union-attr]
        assert run(program, stdout=pipe).stderr == "done"


def test_reader_that_hangs_does_not_stop_the_program() -> None:
    program = """
import sys
from zmqio.logger import get_logger
log = get_logger("x")
for _ in range(5_000):
    log.warning("line_written", text="x" * 900)
sys.stderr.write("done")
"""
    hung = subprocess.Popen(["sleep", "60"], stdin=subprocess.PIPE)
    try:
        assert run(program, stdout=hung.stdin, timeout=60).stderr == "done"
    finally:
        hung.kill()
        hung.wait()
        hung.stdin.close()  # type: ignore[union-attr]


def test_lost_lines_are_counted_and_reported() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    log = get_logger("x")

    def refuse(_logger: Any, _level: str, _event: dict[str, Any]) -> dict[str, Any]:
        raise OSError("full")

    with capture_logs() as lines:
        processors = structlog.get_config()["processors"]
        processors.insert(0, refuse)
        log.info("first")
        log.error("second")
        processors.pop(0)
        log.info("third", value=Broken())
    assert [(line["event"], line.get("count")) for line in lines] == [("third", None), ("log_lines_lost", 2)]


def test_each_level_reaches_the_application() -> None:
    log = get_logger("x")
    with capture_logs() as lines:
        log.debug("a", number=1)
        log.info("b")
        log.warning("c", exc_info=None)
        log.error("d", exc_info=ValueError("x"))
        try:
            {}["k"]
        except KeyError:
            log.exception("e")
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("a", "debug"),
        ("b", "info"),
        ("c", "warning"),
        ("d", "error"),
        ("e", "error"),
    ]
    assert "traceback" not in lines[2]
    assert lines[3]["traceback"] == "ValueError: x"
    assert lines[4]["traceback"].startswith("Traceback (most recent call last):")
    json.dumps(lines)
