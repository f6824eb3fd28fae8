"""A request for a fork, and how the fork becomes the requested program.

`tests.support.warmed` and `tests.support.zygote` receive such requests.
"""

import ctypes
import fcntl
import importlib
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.support.forked import BROKER, COMMAND_LINE
from tests.support.zygote import fork_own_processes, set_process_name

__all__ = ["SIGNALS", "ForkRequest", "die_with_parent"]

ABOVE = 1_000
"""The descriptors of a fork are first moved above all numbers that it may be asked to have."""
PR_SET_PDEATHSIG = 1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
"""Signals that are blocked from the fork until its program runs."""
PARENTS = ("serve", "demo")
"""Commands of `zmqio` that start processes."""


class ForkRequest:
    """The description of a fork.

    Args:
        facts: its module, arguments, environment, folder, and whether it leads a session.
        passed: the descriptors, in the order of the numbers that they are to have (`facts["descriptors"]`).
    """

    def __init__(self, facts: dict[str, Any], passed: list[int]) -> None:
        self._facts = facts
        self._descriptors = dict(zip(facts["descriptors"], passed, strict=True))

    def become(self) -> Callable[[], None]:
        """Prepare this fork like `python -m MODULE ARGUMENTS`; return its main function."""
        set_process_name(self._facts["module"])
        if self._facts["leads_session"]:
            os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._take_descriptors()
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        os.environ.clear()
        os.environ.update(self._facts["environment"])
        self._enter_folder()
        module, arguments = self._facts["module"], self._facts["arguments"]
        sys.argv = [module, *arguments]
        if module == COMMAND_LINE and arguments[0] in PARENTS:
            fork_own_processes(lambda facts, passed: ForkRequest(facts, passed).become()())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return _main_of(module)

    def _take_descriptors(self) -> None:
        moved = {wanted: fcntl.fcntl(fd, fcntl.F_DUPFD, ABOVE) for wanted, fd in self._descriptors.items()}
        os.closerange(3, ABOVE)
        for wanted, above in moved.items():
            os.dup2(above, wanted)
            os.close(above)

    def _enter_folder(self) -> None:
        folder = self._facts["folder"]
        os.chdir(folder)
        first = [folder, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        sys.path[:] = dict.fromkeys([*first, *sys.path])
        importlib.invalidate_caches()


def die_with_parent() -> None:
    """Let the kernel kill this process when the process that has forked it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _main_of(module: str) -> Callable[[], None]:
    if module == BROKER:
        return partial(sys.modules[f"{BROKER}.__main__"].cli, prog_name="zmqio broker")
    if module == COMMAND_LINE:
        return partial(sys.modules[f"{COMMAND_LINE}.__main__"].main, prog_name="zmqio")
    program: Callable[[], None] = sys.modules[module].main
    return program
