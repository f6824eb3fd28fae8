"""Logging of the commands; each test runs a separate process because the configuration is global."""

import json
import subprocess
import sys

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
    program = PROGRAM.format(format=log_format, level=level)
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
