"""docs/testing.md: its tests pass under pytest, as a user runs them."""

import subprocess
import sys

from tests.support.pages import ROOT


def test_the_tests_of_the_page_pass() -> None:
    options = ["-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "-c", "/dev/null", "--rootdir", "."]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_chat.py"],
        cwd=ROOT / "examples" / "testing",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
