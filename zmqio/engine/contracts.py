"""The contracts around a session, to be read together.

- `ConnectionEvents`  session -> the layer above: what a connection reports
- `SessionOwner`      session -> engine: what a session needs of it
- `Outlet`            session -> its transport: where packets leave the process
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, Literal, Protocol

from zmqio.config import EngineOptions
from zmqio.engine.packets import Prepared
from zmqio.log_limit import LimitedLog

if TYPE_CHECKING:
    from zmqio.engine.session import Session

__all__ = ["ConnectionEvents", "Outlet", "SessionOwner", "TransportName"]

TransportName = Literal["polling", "websocket"]


class ConnectionEvents(Protocol):
    """What a session reports to the layer above; one object for each connection."""

    def message(self, data: str | bytes) -> Awaitable[None] | None:
        """Take one Engine.IO message; called in the client's order.

        Returns:
            None, or an awaitable: the engine reads no more from this client until it is done (inbound
            back-pressure). It has to end soon after `closed`.
        """

    def closed(self, reason: str) -> None:
        """The session has ended: called exactly once, from the event loop and never inside another call."""


class SessionOwner(Protocol):
    """What a session needs of the engine."""

    options: EngineOptions
    counters: Counter[str]
    notices: LimitedLog

    def forget(self, session: "Session") -> None:
        """The session has ended; no request will find it any more."""

    def leaves(self, session: "Session") -> None:
        """The session is about to end: it is not pinged any more, and owes no answer."""

    def answered(self, session: "Session") -> None:
        """The client has answered a ping: schedule the next."""

    def heard(self, session: "Session") -> None:
        """The client owes an answer to a ping, and something else came from it."""

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run a short job; the engine awaits or cancels it when it closes."""


class Outlet(Protocol):
    """Where the packets of a session leave the process: a poll, or a WebSocket."""

    @property
    def ready(self) -> bool:
        """Whether a packet would leave now rather than wait."""

    @property
    def empty(self) -> bool:
        """Whether all that it has taken has left the process; when that comes true, it calls `Session.drained`."""

    def offer(self, prepared: Prepared) -> bool:
        """Take a packet past the session's buffer, in which nothing waits; False if it has to wait."""

    def flush(self) -> None:
        """Begin to send what waits; called whenever something was added."""

    def begin_close(self) -> None:
        """The session is about to end: add what the protocol sends last."""

    def end(self, *, farewell: Prepared, code: int, abort: bool) -> None:
        """The session has ended: release whoever waits for it, and nothing leaves any more.

        Args:
            farewell: what a waiting poll is answered with.
            code: the code of a WebSocket's Close frame.
            abort: the client does not read: do not try to reach it.
        """
