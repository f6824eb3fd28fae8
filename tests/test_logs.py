"""Logging of the commands; each test runs a separate process because the configuration is global."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zmqio.logs import print_error

PROGRAM = """
import logging, structlog
from zmqio.logs import configure_logs
configure_logs({format!r}, {level!r}, process="node A")
structlog.get_logger("x").info("visible", number=1)
structlog.get_logger("x").debug("hidden")
logging.getLogger("uvicorn.error").warning("from the library %s", 1)
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("x").exception("failed")
"""


def run(log_format: str, level: str = "info") -> str:
    return run_program(PROGRAM.format(format=log_format, level=level))


def run_program(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr


def test_json_lines_carry_event_level_time_and_facts() -> None:
    lines = [json.loads(line) for line in run("json").splitlines()]
    assert [(line["event"], line["level"], line["process"]) for line in lines] == [
        ("visible", "info", "node A"),
        ("from the library 1", "warning", "node A"),
        ("failed", "error", "node A"),
    ]
    assert all("timestamp" in line for line in lines)
    assert "ZeroDivisionError" in lines[2]["exception"]


def test_auto_writes_json_without_a_terminal() -> None:
    assert json.loads(run("auto").splitlines()[0])["event"] == "visible"


def test_console_lines_are_readable() -> None:
    text = run("console")
    assert "visible" in text
    assert "number=1" in text
    assert "ZeroDivisionError" in text


def test_lower_levels_are_not_logged() -> None:
    assert "visible" not in run("json", "warning")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_traceback_of_any_library_shows_no_values(log_format: str) -> None:
    program = """
import asyncio, logging, structlog
from zmqio.logs import configure_logs
from zmqio.logger import get_logger
configure_logs({!r}, "info")
def handler(token):
    raise ValueError("on purpose")
for log in (structlog.get_logger("app"), logging.getLogger("asyncio"), get_logger("zmqio.x")):
    try:
        handler("SEC" + "RET")
    except ValueError:
        log.exception("failed")
"""
    text = run_program(program.format(log_format))
    assert text.count("ValueError: on purpose") == 3
    assert "SECRET" not in text


def test_lines_that_a_hung_reader_does_not_take_are_lost_and_counted() -> None:
    program = """
import os, structlog
from zmqio.logs import configure_logs
configure_logs("json", "info")
log = structlog.get_logger("app")
for number in range(2_000):
    log.info("line_written", text="x" * 900)
os.read(int({!r}), 1 << 20)
log.info("last")
os._exit(0)
"""
    reader, writer = os.pipe()
    command = [sys.executable, "-c", program.format(str(reader))]
    subprocess.run(command, stderr=writer, pass_fds=[reader], check=True, timeout=60)
    lines = [json.loads(line) for line in os.read(reader, 1 << 20).splitlines()]
    assert [line["event"] for line in lines] == ["last", "log_lines_lost"]
    assert lines[1]["count"] > 1_000


def test_full_disk_stops_nothing() -> None:
    program = PROGRAM.format(format="json", level="info") + "\nimport os; print('done', flush=True); os._exit(0)"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, check=True)
    assert done.stdout == b"done\n"


def test_text_on_standard_error_is_lost_where_it_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    print_error("one\n")
    assert capsys.readouterr().err == "one\n"
    with open("/dev/full", "w") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stderr", full)
        print_error("two\n")
