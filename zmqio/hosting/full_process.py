"""Refuses connections that would use the reserve of descriptors, where uvicorn accepts them itself.

Without this, uvloop closes further connections without an answer. asyncio (Python 3.11 and 3.12) tries again up to
2,048 times per second, with a traceback in the log for each.
"""

import asyncio
import logging
import os
import time
from errno import EMFILE
from functools import cache

from zmqio.hosting.descriptor_reserve import DescriptorReserve
from zmqio.log_limit import LimitedLog, LogLimit
from zmqio.logger import get_logger

__all__ = ["refuse_if_full"]

_LOG_INTERVAL_S = 10.0
_ASYNCIO_MESSAGE = "socket.accept() out of system resource"
_BODY = b"Too many connections\n"
_RESPONSE = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)

_log = LimitedLog(get_logger(__name__), _LOG_INTERVAL_S, burst=1)


def refuse_if_full(transport: asyncio.Transport, descriptor: int) -> bool:
    """Answer a new connection with status 503 and close it if its descriptor comes from the reserve.

    Args:
        transport: the transport of the connection.
        descriptor: the descriptor of the connection.

    Returns:
        Whether the connection was refused.
    """
    if not _reserve().includes(descriptor):
        return False
    _log.warning("accept_failed", error=os.strerror(EMFILE), hint="raise the limit of open files (ulimit -n)")
    transport.write(_RESPONSE)
    transport.close()
    return True


@cache
def _reserve() -> DescriptorReserve:
    """Return the reserve of this process, and limit asyncio's own lines about failed attempts to accept."""
    limit = LogLimit(_LOG_INTERVAL_S)

    def is_allowed(record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith(_ASYNCIO_MESSAGE):
            return True
        return limit.record(time.monotonic()) > 0

    logging.getLogger("asyncio").addFilter(is_allowed)
    return DescriptorReserve()
