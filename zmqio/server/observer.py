"""The base class of observers: objects that see the events of all namespaces of a server without handling them."""

from collections.abc import Collection, Sequence
from typing import Any

from zmqio.ids import Sid
from zmqio.server.socket import Socket

__all__ = ["Observer"]


class Observer:
    """Sees the events of all namespaces *of this process*; register a subclass with `io.observe(observer)`.

    Example: `class Log(zmqio.Observer)` with a method `connected(self, socket)`, then `io.observe(Log())`

    Override the methods of the events that you need; the others cost nothing. An observer does not take the place
    of a handler, changes nothing and delays nothing: its methods are plain functions that must not block, and
    their errors are logged (`observer_failed`).
    """

    def namespace_opened(self, namespace: str) -> None:
        """A namespace serves clients from now on. Also called on registration, for those that are open."""

    def namespace_closed(self, namespace: str) -> None:
        """A namespace no longer serves clients: the server stops, or a dynamic namespace was empty."""

    def connected(self, socket: Socket) -> None:
        """A client is connected: its CONNECT packet is about to be sent.

        Rooms that middleware or the connect handler joined it to were reported before.
        """

    def disconnected(self, socket: Socket, reason: str) -> None:
        """A client that was `connected` has disconnected. `socket.rooms` are the rooms that it was last in."""

    def upgraded(self, socket: Socket) -> None:
        """The connection of a client has changed from polling to WebSocket; called for each of its sockets."""

    def room_joined(self, namespace: str, room: str, sid: Sid) -> None:
        """A socket has joined a room. The first room of each socket is the one named after its id."""

    def room_left(self, namespace: str, room: str, sid: Sid) -> None:
        """A socket has left a room. One that disconnects leaves all its rooms first."""

    def event_received(self, socket: Socket, event: str, args: Sequence[Any]) -> None:
        """A client has sent an event; called before listeners, middleware and handlers. Do not change `args`."""

    def event_sent(self, namespace: str, sids: Collection[Sid], event: str, args: Sequence[Any]) -> None:
        """An event is sent to clients of this process; called once per event, whatever the number of clients.

        A broadcast is decoded for this call, whichever node it comes from. Acknowledgements are not events.
        """
