"""`_watch`: what ends is started again, and a crash loop ends the demo. With real, tiny processes."""

import io
import itertools
import sys

from rich.console import Console

from zmqio.demo import run


def child(program: str) -> run._Child:
    made = run._Child("node A", [sys.executable, "-c", program])
    made.start()
    return made


def test_crash_loop_ends_the_demo_and_says_why() -> None:
    output = io.StringIO()
    crashing = child("raise SystemExit(3)")
    clock = itertools.count(step=10)
    assert run._watch([crashing], Console(file=output, width=200), now=lambda: float(next(clock))) == 1
    assert f"has ended {run.MOST_RESTARTS + 1} times" in output.getvalue()
    assert "exit code 3" in output.getvalue()


def test_stop_ends_a_process_that_was_stopped_by_somebody() -> None:
    sleeping = child("import time; time.sleep(600)")
    sleeping.stop()
    sleeping.wait()
    assert sleeping.process is not None
    assert sleeping.process.returncode == -15


def test_ending_is_told_in_words() -> None:
    assert run._ending(-9) == "killed by SIGKILL"
    assert run._ending(1) == "exit code 1"
