"""The handlers of one namespace, as the server of zmqio calls them."""

from functools import partial
from typing import Any, Protocol

from zmqio.compat.environ import ClientEnviron
from zmqio.compat.event_handlers import EventHandlers, FoundHandler
from zmqio.exceptions import ConnectRefused
from zmqio.server.handlers import CATCH_ALL, Handler, Handlers
from zmqio.server.socket import Socket

__all__ = ["KnownClients", "ServedHandlers"]

REFUSED = "Connection refused by server"
"""The message for Python's own ConnectionRefusedError. Source: python-socketio 5."""
_REASONS = {
    "client namespace disconnect": "client disconnect",
    "server namespace disconnect": "server disconnect",
    "forced close": "server disconnect",
    "forced server close": "server disconnect",
    "server shutting down": "server disconnect",
    "parse error": "transport error",
    "server error": "transport error",
    "slow client": "transport error",
}
"""Reason of zmqio -> reason of python-engineio; others have the same name."""


class KnownClients(Protocol):
    """The sockets that the application can name by their session ids."""

    @property
    def sockets(self) -> Any:
        """Session id -> socket, a mutable mapping."""

    def environ_of(self, socket: Socket) -> ClientEnviron:
        """Return the environment of a client."""


class ServedHandlers(Handlers):
    """Finds the application's function for each event of a namespace, which takes the session id of the socket.

    Args:
        namespace: its name; `*` for the parent of dynamic namespaces.
        functions: of the application.
        clients: where sockets are registered before their connect handler runs.
        always_connect: whether a client is connected before its connect handler runs.
    """

    def __init__(
        self, namespace: str, functions: EventHandlers, clients: KnownClients, *, always_connect: bool
    ) -> None:
        super().__init__()
        self._namespace = namespace
        self._functions = functions
        self._clients = clients
        self._always_connect = always_connect

    def get(self, event: str) -> Handler | None:
        """Return the function for an event that takes the socket first, or None."""
        if event == "connect":
            return Handler(self._connect, 2, 2)
        found = None if event == CATCH_ALL else self._functions.find(self._namespace, event)
        if event == "disconnect" and found is not None:
            return Handler(partial(self._disconnect, found), 2, 2)
        return None if found is None else found.for_socket()

    async def _connect(self, socket: Socket, auth: Any) -> bool | None:
        self._clients.sockets[socket.id] = socket
        if self._always_connect:
            socket.confirm_connect()
        found = self._functions.find(self._namespace, "connect")
        if found is None:
            return None
        try:
            result = await found.call_usable(socket, self._clients.environ_of(socket), auth or None)
        except ConnectionRefusedError as error:
            raise ConnectRefused(REFUSED) from error
        return False if result is False else None

    async def _disconnect(self, found: FoundHandler, socket: Socket, reason: str) -> None:
        await found.call_usable(socket, _REASONS.get(reason, reason))
