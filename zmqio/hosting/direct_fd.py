"""Find the descriptor of a connection that may be written to past its transport.

That is right while the transport has nothing to send: then nothing is overtaken, and no frame is cut in two. With
a high-water mark of 0 a transport says so by itself: it writes at once what it is given, and pauses its protocol
as soon as a byte of it has to wait. A descriptor stays the connection's until the protocol's `connection_lost`.

Source: uvloop 0.17 to 0.23, `UVStream._initiate_write` and `UVBaseTransport._call_connection_lost`.
"""

import asyncio
from importlib.metadata import version
from typing import Any

from zmqio.engine.direct_write import NO_FD

__all__ = ["is_known", "take_bare_fd"]

KNOWN = ((0, 17), (0, 23))
"""First and last minor version of uvloop whose sources were read, and whose transports `test_bare_fd` tries."""


def _bare_transports() -> tuple[Any, ...]:
    """Transports that write plainly; none of asyncio's, nor of a uvloop that is not known."""
    try:
        from uvloop.loop import TCPTransport, UnixTransport  # type: ignore[attr-defined]
    except ImportError:  # not on every system
        return ()
    return (TCPTransport, UnixTransport) if is_known(version("uvloop")) else ()


def is_known(release: str) -> bool:
    """Whether a version of uvloop is one that keeps the promises above."""
    numbers = tuple(int(number) for number in release.split(".")[:2] if number.isdecimal())
    return KNOWN[0] <= numbers <= KNOWN[1]


_BARE = _bare_transports()


def take_bare_fd(transport: asyncio.Transport) -> int:
    """Make a transport pause its protocol whenever it has anything to send; return its descriptor.

    Returns:
        -1, and the transport is as it was, if it is none that writes plainly (TLS, another event loop).
    """
    if type(transport) not in _BARE:
        return NO_FD
    transport.set_write_buffer_limits(high=0)
    return int(transport.get_extra_info("socket").fileno())
