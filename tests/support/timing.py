"""The constant that scales every wait of the test run, and a function that waits for a condition."""

import asyncio
import os
from collections.abc import Callable

__all__ = ["LIMIT_S", "wait_until"]

# Generous: a limit is reached only by a test that fails. Beside the other workers on two cores, an interpreter has
# taken 24 s to start. A slower machine sets the scale.
LIMIT_S = 60 * float(os.environ.get("ZMQIO_TEST_TIME_SCALE", "1"))
# With 0, a condition is noticed in the very turn of the event loop in which it becomes true. So a test that
# asserts more than it has waited for fails each time, instead of once in a thousand runs.
_POLL_S = float(os.environ.get("ZMQIO_TEST_POLL_S", "0.01"))


async def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition()` is true, asked every 10 ms; after `LIMIT_S` seconds fail naming `what`.

    Raises:
        AssertionError: the condition did not become true within the limit.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + LIMIT_S
    while not condition():
        if loop.time() >= ends_at:
            raise AssertionError(f"not within {LIMIT_S:g} s: {what}")
        await asyncio.sleep(_POLL_S)
