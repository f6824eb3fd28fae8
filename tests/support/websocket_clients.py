"""The client of `websockets`, with more time for the opening handshake than its default of 10 s."""

from functools import partial

from websockets.asyncio.client import connect as connect_in_a_hurry

from tests.support.timing import LIMIT_S

__all__ = ["connect"]

connect = partial(connect_in_a_hurry, open_timeout=LIMIT_S)
"""As `websockets.connect`."""
