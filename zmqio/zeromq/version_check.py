"""Asks a broker once for its protocol version and limits; logs an error if the version differs from this node's.

Nothing waits for the response.

Source: the broker's control endpoint. The msgpack map `{"op": "hello", "version": 1}` is answered with a map that
has `version`, `release`, `pid`, `subscription_bytes` and `topic_bytes`, or `error`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgpack

from zmqio.logger import get_logger
from zmqio.protocol.mechanism import SocketType
from zmqio.protocol.zmtp import Message
from zmqio.zeromq.connection import ZmtpConnection, ZmtpConnectionEvents, ZmtpPeer

__all__ = ["PROTOCOL_VERSION", "VersionCheck"]

log = get_logger(__name__)

PROTOCOL_VERSION = 1


class VersionCheck:
    """One request to one broker. Belongs to the running event loop.

    Args:
        loop: the running event loop.
        peer: the broker's control endpoint.
        on_limits: called with the most bytes that the broker accepts: of subscriptions of this node at once, and
            of topics of all nodes together.

    Attributes:
        is_answered: whether the response has arrived.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        peer: ZmtpPeer,
        on_limits: Callable[[int, int], None] = lambda _subscription_bytes, _topic_bytes: None,
    ) -> None:
        self.is_answered = False
        self._endpoint = peer.endpoint
        self._on_limits = on_limits
        events = ZmtpConnectionEvents(self._send_request, lambda _: None, lambda _: None)
        self._connection = ZmtpConnection(loop, peer, SocketType.DEALER, events, self._received)

    def close(self) -> None:
        """Stop waiting for the response. Calling it again does nothing."""
        self._connection.close()

    def _send_request(self) -> None:
        self._connection.send(msgpack.packb({"op": "hello", "version": PROTOCOL_VERSION}))

    def _received(self, messages: Sequence[Message], _: bool) -> None:
        self.is_answered = True
        self.close()
        response = messages[0] if isinstance(messages[0], bytes) else messages[0][-1]
        try:
            hello = msgpack.unpackb(response)
        except (ValueError, TypeError):
            hello = None
        self._compare(hello if isinstance(hello, Mapping) else {"error": "the response is not a msgpack map"})

    def _compare(self, hello: Mapping[str, Any]) -> None:  # Any: values of a msgpack map
        if hello.get("version") == PROTOCOL_VERSION and "error" not in hello:
            release, pid = hello.get("release"), hello.get("pid")
            log.debug("broker_version_checked", endpoint=self._endpoint, release=release, pid=pid)
            at_once, together = hello.get("subscription_bytes"), hello.get("topic_bytes")
            if isinstance(at_once, int) and isinstance(together, int) and at_once > 0 and together > 0:
                self._on_limits(at_once, together)
            return
        log.error(
            "broker_version_mismatched",
            endpoint=self._endpoint,
            node_version=PROTOCOL_VERSION,
            broker_version=hello.get("version"),
            error=hello.get("error"),
            hint="run the same zmqio release on the broker and on all nodes",
        )
