"""A connection of the bus with its record, and what can stand at its other end."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator, Sequence

from zmqio.protocol.zmtp import Message, SocketType
from zmqio.zeromq.connection import ZmtpConnection, ZmtpConnectionEvents

__all__ = ["Recorded", "connected", "mute_listener"]


class Recorded:
    """What a connection has told.

    Attributes:
        changes: `up`, `down` and `refused` in order.
        reasons: of the losses and refusals.
        messages: what came.
        batches: how many messages were handed on at once, each time.
        lags: whether so much was read with them that this process does not keep up.
        drained: how many times it was.
        pause_s: what takes so long with each batch.
    """

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.reasons: list[str] = []
        self.messages: list[Message] = []
        self.batches: list[int] = []
        self.lags: list[bool] = []
        self.drained = 0
        self.pause_s = 0.0

    def down(self, reason: str) -> None:
        self.changes.append("down")
        self.reasons.append(reason)

    def refused(self, reason: str) -> None:
        self.changes.append("refused")
        self.reasons.append(reason)

    def received(self, messages: Sequence[Message], lags: bool) -> None:
        self.messages += messages
        self.batches.append(len(messages))
        self.lags.append(lags)
        time.sleep(self.pause_s)

    def count_drained(self) -> None:
        self.drained += 1


@contextlib.contextmanager
def connected(
    endpoint: str, socket_type: SocketType = SocketType.SUB
) -> Iterator[tuple[ZmtpConnection, Recorded]]:
    """A connection to an endpoint, where a peer may be or come."""
    recorded = Recorded()
    events = ZmtpConnectionEvents(lambda: recorded.changes.append("up"), recorded.down, recorded.refused)
    connection = ZmtpConnection(
        asyncio.get_running_loop(), endpoint, socket_type, events, recorded.received, recorded.count_drained
    )
    try:
        yield connection, recorded
    finally:
        connection.close()


@contextlib.contextmanager
def mute_listener() -> Iterator[tuple[str, socket.socket]]:
    """An endpoint whose listener accepts only by hand."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", listener
