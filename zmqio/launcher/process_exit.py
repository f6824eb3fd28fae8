"""How processes end: by SIGTERM within a limit, else by SIGKILL; and what their exit codes mean."""

import asyncio
import contextlib
import signal
from asyncio.subprocess import Process

__all__ = ["describe_ending", "stop_process"]


async def stop_process(process: Process, limit_s: float) -> bool:
    """Send SIGTERM, and SIGKILL after `limit_s` seconds; whether it ended by itself."""
    if process.returncode is not None:
        return True
    with contextlib.suppress(ProcessLookupError):  # it has ended just now
        process.send_signal(signal.SIGCONT)  # one that somebody stopped could not hear the next
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), limit_s)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()
        return False
    return True


def describe_ending(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "still running"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
