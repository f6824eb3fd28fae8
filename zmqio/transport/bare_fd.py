"""Find the descriptor of a connection that may be written to past its transport.

That is right while the transport has nothing to send: then nothing is overtaken, and no frame is cut in two. With
a high-water mark of 0 a transport says so by itself: it writes at once what it is given, and pauses its protocol
as soon as a byte of it has to wait. A descriptor stays the connection's until the protocol's `connection_lost`.

Source: uvloop 0.17 to 0.23, `UVStream._initiate_write` and `UVBaseTransport._call_connection_lost`.
"""

import asyncio
from typing import Any

from zmqio.transport.lane import NO_FD

__all__ = ["take_bare_fd"]

try:
    from uvloop.loop import TCPTransport, UnixTransport  # type: ignore[attr-defined]
except ImportError:  # not on every system; asyncio's own transports are left alone
    _BARE: tuple[Any, ...] = ()
else:
    _BARE = (TCPTransport, UnixTransport)


def take_bare_fd(transport: asyncio.Transport) -> int:
    """Make a transport pause its protocol whenever it has anything to send; return its descriptor.

    Returns:
        -1, and the transport is as it was, if it is none that writes plainly (TLS, another event loop).
    """
    if type(transport) not in _BARE:
        return NO_FD
    transport.set_write_buffer_limits(high=0)
    return int(transport.get_extra_info("socket").fileno())
