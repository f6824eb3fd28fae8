"""Logging of the commands, in a process of its own: it is global state."""

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from zmqio.logs import configure_logs
configure_logs({format!r}, {level!r}, process="node A")
structlog.get_logger("x").info("told", number=1)
structlog.get_logger("x").debug("not_told")
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
        ("told", "info", "node A"),
        ("from the library 1", "warning", "node A"),
        ("failed", "error", "node A"),
    ]
    assert all("timestamp" in line for line in lines)
    assert "ZeroDivisionError" in lines[2]["exception"]


def test_auto_is_json_where_there_is_no_terminal() -> None:
    assert json.loads(run("auto").splitlines()[0])["event"] == "told"


def test_console_is_for_people() -> None:
    text = run("console")
    assert "told" in text
    assert "number=1" in text
    assert "ZeroDivisionError" in text


def test_level_hides_what_is_below() -> None:
    assert "told" not in run("json", "warning")
