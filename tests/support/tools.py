"""Programs and headers that some tests need and a machine may lack.

If one is missing, the test is skipped, or fails if the environment variable `CI` is set.
"""

import os
import shutil
import subprocess
from typing import NoReturn

import pytest

from tests.support.timing import LIMIT_S

__all__ = ["missing", "require", "require_libzmq"]

# Debian names Chromium without its maker, others do not.
ALIASES = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "gcc": ("gcc", "cc")}
# Debian has nginx and HAProxy here, where only root looks.
SYSTEM_PATH = "/usr/sbin:/usr/local/sbin"
FALSE = frozenset({"", "0", "false", "no"})


def missing(tool: str, why: str = "") -> NoReturn:
    """Skip the test because `tool` is missing; fail it if `CI` is set.

    Args:
        tool: the name of the missing program.
        why: the failed attempt, if there was one.
    """
    reason = f"{tool} is missing" + (f": {why}" if why else "")
    if os.environ.get("CI", "").lower() in FALSE:
        pytest.skip(reason)
    pytest.fail(f"{reason} (a skip where CI is not set)", pytrace=False)


def require(program: str) -> str:
    """The path of a program such as "nginx", "chromium", "gcc" or "node"; `missing` when there is none."""
    for name in ALIASES.get(program, (program,)):
        path = shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)
        if path is not None:
            return path
    missing(program)


def require_libzmq() -> str:
    """The path of a C compiler that finds libzmq's header and library; `missing` when there is none."""
    compiler = require("gcc")
    source = "#include <zmq.h>\nint main(void) { return zmq_errno(); }\n"
    done = subprocess.run(
        [compiler, "-x", "c", "-", "-lzmq", "-o", os.devnull],
        input=source,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        missing("libzmq for C (libzmq3-dev)", done.stderr[-300:])
    return compiler
