"""A ZMTP connection with a record of its callbacks, and a listener that simulates its peer."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator, Sequence

from zmqio.links.resolver import HostResolver
from zmqio.protocol.mechanism import MakeMechanism, NullMechanism
from zmqio.protocol.zmtp import Message, SocketType
from zmqio.zeromq.connection import ZmtpConnection, ZmtpConnectionEvents, ZmtpPeer
from zmqio.zeromq.endpoints import Endpoints

__all__ = ["ConnectionRecord", "connected", "mute_listener", "peer_at", "resolver_of"]


class ConnectionRecord:
    """The reports of a connection.

    Attributes:
        changes: "up", "down" and "refused" in order.
        reasons: the reason of each loss and refusal.
        messages: received messages.
        batches: number of messages in each call.
        lagging: for each call, whether the connection reported that this process is not keeping up.
        drained: number of calls of `drained`.
        delay_s: how long each call blocks, in seconds.
    """

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.reasons: list[str] = []
        self.messages: list[Message] = []
        self.batches: list[int] = []
        self.lagging: list[bool] = []
        self.drained = 0
        self.delay_s = 0.0

    def down(self, reason: str) -> None:
        self.changes.append("down")
        self.reasons.append(reason)

    def refused(self, reason: str) -> None:
        self.changes.append("refused")
        self.reasons.append(reason)

    def received(self, messages: Sequence[Message], is_lagging: bool) -> None:
        self.messages += messages
        self.batches.append(len(messages))
        self.lagging.append(is_lagging)
        time.sleep(self.delay_s)

    def count_drained(self) -> None:
        self.drained += 1


def resolver_of(endpoint: str) -> HostResolver:
    """A resolver for the host of one endpoint."""
    return HostResolver(Endpoints(endpoint, "", "", "").host)


def peer_at(endpoint: str, mechanism: MakeMechanism = NullMechanism) -> ZmtpPeer:
    """The peer at one endpoint."""
    return ZmtpPeer(endpoint, resolver_of(endpoint), mechanism)


@contextlib.contextmanager
def connected(
    endpoint: str, socket_type: SocketType = SocketType.SUB, mechanism: MakeMechanism = NullMechanism
) -> Iterator[tuple[ZmtpConnection, ConnectionRecord]]:
    """A connection to an endpoint, where a peer may be listening or start to listen, and its record."""
    record = ConnectionRecord()
    connection = ZmtpConnection(
        asyncio.get_running_loop(),
        peer_at(endpoint, mechanism),
        socket_type,
        ZmtpConnectionEvents(lambda: record.changes.append("up"), record.down, record.refused),
        record.received,
        record.count_drained,
    )
    try:
        yield connection, record
    finally:
        connection.close()


@contextlib.contextmanager
def mute_listener() -> Iterator[tuple[str, socket.socket]]:
    """An endpoint and its listener, which accepts connections only by hand."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", listener
