"""Ask a broker once which version it speaks, and say so in the log when it is another one. Nothing waits for it.

Source: the broker's control endpoint: a msgpack map `{"op": "hello", "version": 1}` is answered with one that has
`version`, `release` and `pid`, or `error`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgpack
import structlog
import zmq

from zmqio.zeromq.context import SyncContext
from zmqio.zeromq.socket_options import fd_of, set_link_options

__all__ = ["PROTOCOL_VERSION", "VersionCheck", "say_hello"]

log = structlog.get_logger(__name__)

PROTOCOL_VERSION = 1


def say_hello(loop: asyncio.AbstractEventLoop, context: SyncContext, endpoint: str) -> "VersionCheck | None":
    """Ask, if this process can; else say in the log that nobody has asked. See `VersionCheck`."""
    try:
        return VersionCheck(loop, context, endpoint)
    except zmq.ZMQError as error:  # no file descriptor is free
        log.warning("bus_hello_failed", endpoint=endpoint, error=str(error))
        return None


class VersionCheck:
    """One question to one broker. Belongs to the event loop on which it was made.

    Args:
        loop: where the answer is read.
        context: where the socket is made.
        endpoint: the broker's control endpoint.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, context: SyncContext, endpoint: str) -> None:
        self._loop = loop
        self._endpoint = endpoint
        self._is_open = True
        self._socket = context.socket(zmq.DEALER)
        set_link_options(self._socket, endpoint)
        self._socket.connect(endpoint)
        self._fd = fd_of(self._socket)
        loop.add_reader(self._fd, self._read)
        self._socket.send(msgpack.packb({"op": "hello", "version": PROTOCOL_VERSION}), zmq.DONTWAIT)
        # The FD tells of changes only, and sending may have taken one.
        loop.call_soon(self._read)

    def close(self) -> None:
        """Wait for the answer no longer; a second time nothing happens."""
        if not self._is_open:
            return
        self._is_open = False
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        self._socket.close(linger=0)

    def _read(self) -> None:
        if not self._is_open:
            return
        try:
            frames = self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        self.close()
        try:
            answer = msgpack.unpackb(frames[-1])
        except (ValueError, TypeError):
            answer = None
        self._judge(answer if isinstance(answer, Mapping) else {"error": "an answer that is no msgpack map"})

    def _judge(self, answer: Mapping[str, Any]) -> None:  # Any: values of a msgpack map
        if answer.get("version") == PROTOCOL_VERSION and "error" not in answer:
            release, pid = answer.get("release"), answer.get("pid")
            log.debug("bus_broker_hello", endpoint=self._endpoint, release=release, pid=pid)
            return
        log.error(
            "bus_version_mismatch",
            endpoint=self._endpoint,
            spoken_here=PROTOCOL_VERSION,
            spoken_there=answer.get("version"),
            error=answer.get("error"),
            hint="run the same zmqio release on the broker and on all nodes",
        )
