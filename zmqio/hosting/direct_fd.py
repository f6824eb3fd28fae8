"""Find the file descriptor of a connection, to write to it without its transport.

Such writes preserve the order of bytes only while the transport has nothing to send. With a high-water mark of 0 a
transport reports exactly that: it writes at once, and pauses its protocol as soon as a byte remains in its buffer.
The descriptor belongs to the connection until the protocol's `connection_lost` is called.

uvloop's transports keep these promises in the versions listed here; asyncio's are not used. With any other version
`uvloop_unsupported` is logged once, and every connection is written through its transport.

Source: uvloop 0.17 to 0.23, `UVStream._initiate_write` and `UVBaseTransport._call_connection_lost`.
"""

import asyncio
from functools import cache
from typing import Any

from zmqio.engine.direct_write import NO_FD
from zmqio.logger import get_logger

__all__ = ["direct_transports", "is_supported_uvloop", "open_direct_fd", "tcp_transports"]

log = get_logger(__name__)

SUPPORTED_UVLOOP = ((0, 17), (0, 23))
"""First and last minor version whose source was checked, and whose transports pass `test_direct_fd`."""


def open_direct_fd(transport: asyncio.Transport) -> int:
    """Make a transport pause its protocol whenever its buffer is not empty, and return its file descriptor.

    Returns:
        -1, with the transport unchanged, under TLS, on another event loop, or with an unsupported uvloop.
    """
    if type(transport) not in direct_transports():
        return NO_FD
    transport.set_write_buffer_limits(high=0)
    return int(transport.get_extra_info("socket").fileno())


def is_supported_uvloop(release: str) -> bool:
    """Whether a version of uvloop is known to keep the promises above."""
    numbers = tuple(int(number) for number in release.split(".")[:2] if number.isdecimal())
    return SUPPORTED_UVLOOP[0] <= numbers <= SUPPORTED_UVLOOP[1]


@cache
def direct_transports() -> tuple[Any, ...]:
    """Return the transport classes without TLS if the installed uvloop is supported; log once if it is not."""
    try:
        import uvloop
        from uvloop.loop import TCPTransport, UnixTransport  # type: ignore[attr-defined]
    except ImportError:  # not available on every platform
        return ()
    release = uvloop.__version__  # type: ignore[attr-defined]
    if not is_supported_uvloop(release):
        log.warning("uvloop_unsupported", version=release, effect="broadcasts take more CPU")
        return ()
    return (TCPTransport, UnixTransport)


def tcp_transports() -> tuple[Any, ...]:
    """Return those of them that carry TCP; uvloop sets TCP_NODELAY on each."""
    return direct_transports()[:1]
