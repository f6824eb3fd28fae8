"""Asks a broker for its statistics over one connection, which is opened again when it is lost.

Source: the broker's control endpoint. The msgpack map `{"op": "statistics"}` is answered with a map of the
counters that docs/reference/events.md lists, or with a map that has `error`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgpack

from zmqio.links.resolver import HostResolver
from zmqio.protocol.mechanism import MakeMechanism, NullMechanism, SocketType
from zmqio.protocol.zmtp import Message
from zmqio.zeromq.connection import ZmtpConnection, ZmtpConnectionEvents, ZmtpPeer
from zmqio.zeromq.endpoints import endpoints_of

__all__ = ["BrokerStatistics"]

Statistics = Mapping[str, Any]  # Any: values of a msgpack map


class BrokerStatistics:
    """The statistics of one broker. Belongs to the running event loop.

    Args:
        loop: the running event loop.
        address: base address of the broker.
        mechanism: makes the security mechanism.
        received: called with each response; with an empty map when the connection is lost.

    Attributes:
        problem: why there is no response, as far as known; empty while there is one.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: str,
        received: Callable[[Statistics], None],
        mechanism: MakeMechanism = NullMechanism,
    ) -> None:
        endpoints = endpoints_of(address)
        peer = ZmtpPeer(endpoints.control, HostResolver(endpoints.host), mechanism)
        events = ZmtpConnectionEvents(self.ask, lambda _: self._received({}), lambda _: None)
        self._received = received
        self._refusal = ""
        self._connection = ZmtpConnection(loop, peer, SocketType.DEALER, events, self._on_messages)

    @property
    def problem(self) -> str:
        return self._connection.problem or self._refusal

    def ask(self) -> None:
        """Ask for the statistics; without a connection, nothing happens until there is one."""
        self._connection.send(msgpack.packb({"op": "statistics"}))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _on_messages(self, messages: Sequence[Message], _: bool) -> None:
        last = messages[-1]
        try:
            response = msgpack.unpackb(last if isinstance(last, bytes) else last[-1])
        except (ValueError, TypeError):
            response = None
        if not isinstance(response, dict):
            response = {"error": "the response is not a msgpack map"}
        self._refusal = str(response.get("error", ""))
        self._received({} if self._refusal else response)
