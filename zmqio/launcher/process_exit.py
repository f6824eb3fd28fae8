"""End a process: SIGTERM, then SIGKILL after a time-out. Describe its exit code."""

import asyncio
import contextlib
import signal
from asyncio.subprocess import Process

__all__ = ["describe_exit", "stop_process"]


async def stop_process(process: Process, timeout_s: float) -> bool:
    """Send SIGTERM and wait; after `timeout_s` seconds send SIGKILL.

    Returns:
        False if SIGKILL was needed.
    """
    if process.returncode is not None:
        return True
    with contextlib.suppress(ProcessLookupError):  # it has just exited
        process.send_signal(signal.SIGCONT)  # a suspended process would not handle SIGTERM
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), timeout_s)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()
        return False
    return True


def describe_exit(code: int | None) -> str:
    """Describe an exit code, for example "exit code 1" or "killed by SIGKILL"."""
    if code is None:
        return "still running"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
