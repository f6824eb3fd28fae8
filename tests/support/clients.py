"""The interface of a Socket.IO client in end-to-end tests, the same for every client library."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from tests.support.timing import wait_until

__all__ = ["TRANSPORTS", "ConnectFailed", "Received", "SocketClient"]

TRANSPORTS: dict[str, list[str]] = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}
"""Way to connect -> the client's `transports`. `upgrade` begins with polling and moves to WebSocket."""


class ConnectFailed(Exception):
    """The server refused the client."""

    def __init__(self, message: str, data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


@dataclass
class Received:
    """Events and transport changes of one client, in order.

    Attributes:
        events: (event, args) pairs.
        disconnects: reasons, as the client's library names them.
        upgrades: names of the transports that it moved to.
    """

    events: list[tuple[str, list[Any]]] = field(default_factory=list)
    disconnects: list[str] = field(default_factory=list)
    upgrades: list[str] = field(default_factory=list)

    def named(self, event: str) -> list[list[Any]]:
        """The arguments of every event of that name."""
        return [args for name, args in self.events if name == event]


class SocketClient(ABC):
    """One client in one namespace. It acknowledges each event that requests it with the arguments of the event."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.received = Received()
        self.sid = ""

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @abstractmethod
    async def connect(self) -> None:
        """Connect to the namespace.

        Raises:
            ConnectFailed: the server refused.
        """

    @abstractmethod
    async def emit(self, event: str, *args: Any) -> None:
        """Send an event."""

    @abstractmethod
    async def call(self, event: str, *args: Any) -> Any:
        """Send an event and return the acknowledgement: a single value as it is, several as a list."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Leave the namespace as an application does."""

    @abstractmethod
    async def drop(self) -> None:
        """Close the connection without a Socket.IO DISCONNECT packet."""

    @abstractmethod
    async def end(self) -> None:
        """Release all resources of the client, at the end of a test."""

    @abstractmethod
    async def transport(self) -> str | None:
        """`polling` or `websocket`, as the client sees it now."""

    async def wait_for(self, event: str, count: int = 1) -> list[list[Any]]:
        """Wait until the client has received an event `count` times; return the arguments of every occurrence."""
        await wait_until(
            lambda: len(self.received.named(event)) >= count,
            f"{count} times {event!r} at {self.name} (disconnects: {self.received.disconnects})",
        )
        return self.received.named(event)

    async def wait_disconnect(self) -> str:
        """Wait until the client is disconnected; return the first reason."""
        await wait_until(lambda: self.received.disconnects, f"the disconnect of {self.name}")
        return self.received.disconnects[0]

    async def wait_upgraded(self) -> None:
        """Wait until both sides use the WebSocket."""
        await wait_until(lambda: "websocket" in self.received.upgrades, f"the upgrade of {self.name}")
