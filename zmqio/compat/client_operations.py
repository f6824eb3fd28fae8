"""The operations of python-socketio's server API on clients, over a `zmqio.Server`."""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from zmqio.adapter.base import Target
from zmqio.compat.environ import ClientEnviron, make_environ
from zmqio.compat.exceptions import TimeoutError as CallTimeoutError
from zmqio.exceptions import ConnectRefused, RequestTimeoutError, ZmqioError
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.protocol.packet import Packet, PacketType
from zmqio.protocol.socketio_values import arguments, room_name, room_names, skipped_sids
from zmqio.server.acks import ack_value
from zmqio.server.broadcast import Broadcast
from zmqio.server.handlers import call as call_function
from zmqio.server.namespace import Namespace
from zmqio.server.server import Server
from zmqio.server.socket import Socket
from zmqio.server.targeting import check_event

__all__ = ["CALL_TIMEOUT_S", "ClientOperations", "SavedSession"]

log = LimitedLog(get_logger(__name__))

CALL_TIMEOUT_S = 60
"""Default of `call`. Source: python-socketio 5."""
CALLBACK_TIMEOUT_S = 300.0
"""Seconds after which a callback that has not been called is forgotten."""
UNSERVED = "Unable to connect"
"""The message to a client that asks for a namespace without handlers. Source: python-socketio 5."""


class ClientOperations:
    """Emits, and acts on clients by their session ids, on every node.

    Args:
        io: the server.
        serves: whether clients may join a namespace.

    Attributes:
        io: as given: the `zmqio.Server`, for everything that python-socketio lacks.
        sockets: session id -> socket of this process, as long as the socket is in use.
    """

    def __init__(self, io: Server, serves: Callable[[str], bool]) -> None:
        self.io = io
        self.sockets: WeakValueDictionary[str, Socket] = WeakValueDictionary()
        self._serves = serves
        self._environs: WeakKeyDictionary[Socket, ClientEnviron] = WeakKeyDictionary()
        self._spaces: dict[str, Namespace] = {}

    async def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Send an event to clients of every node.

        Args:
            event: its name.
            data: one value, None for none, or a tuple of several.
            to: a room, a session id or a list of both; by default every client.
            room: the same as `to`.
            skip_sid: a session id, or a list of them, that does not receive the event.
            namespace: by default `/`.
            callback: called with the values of each client's acknowledgement, plain or async: for a session id
                when the client answers; for a room when all have answered, or after 300 seconds.
            ignore_queue: reach clients of this process only.

        Raises:
            ValueError: there is a callback and neither a room nor a session id.
            TypeError: a room is neither a string nor an integer.
            PacketError: the event has a reserved name, or a value cannot be encoded.
            BusError: the other nodes did not receive the event; the clients of this process did.
        """
        rooms = room_names(room if to is None else to)
        target = Target(rooms, skipped_sids(skip_sid), local=ignore_queue)
        if callback is None:
            await Broadcast(self.space(namespace), target).emit(event, *arguments(data))
            return
        if rooms is None:
            raise ValueError("Cannot use callback without a room set.")
        asking = asyncio.ensure_future(self._ask(event, data, target, namespace, CALLBACK_TIMEOUT_S))
        await asyncio.sleep(0)  # the event is sent in this turn
        if asking.done() and (error := asking.exception()) is not None:
            raise error
        self.io.start_background_task(_call_back, asking, callback)

    async def send(
        self,
        data: Any,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Send the event `message`; see `emit`."""
        await self.emit("message", data, to, room, skip_sid, namespace, callback, ignore_queue)

    async def call(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = CALL_TIMEOUT_S,
        ignore_queue: bool = False,
    ) -> Any:
        """Send an event to one client of any node and wait for its acknowledgement.

        Args:
            event: its name.
            data: one value, None for none, or a tuple of several.
            to: the session id.
            sid: the same as `to`.
            namespace: by default `/`.
            timeout: seconds to wait; None means the default.
            ignore_queue: reach a client of this process only.

        Returns:
            None, the value, or a tuple of several values.

        Raises:
            ValueError: there is no session id.
            TimeoutError: (of `zmqio.compat.exceptions`) the client did not answer in time, or has disconnected.
        """
        rooms = room_names(sid if to is None else to)
        if rooms is None:
            raise ValueError("Cannot use call() to broadcast.")
        target = Target(rooms, local=ignore_queue)
        limit_s = CALL_TIMEOUT_S if timeout is None else timeout
        try:
            answers = await self._ask(event, data, target, namespace, limit_s)
        except RequestTimeoutError as error:
            answers = error.responses
        if not answers:
            raise CallTimeoutError(f"no client acknowledged {event!r} within {limit_s} s")
        return ack_value(answers[0])

    async def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """Put a client of any node in a room.

        Returns when messages of every node for the room reach the client; for a client of another node, when the
        request is sent.

        Raises:
            TypeError: the room is neither a string nor an integer.
            SocketGoneError: the client has disconnected from this process.
        """
        socket = self.find(sid, namespace)
        if socket is not None:
            await socket.join(room_name(room))
        else:
            await self._select(sid, namespace).sockets_join(room_name(room))

    async def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """Take a client of any node out of a room. Raises TypeError as `enter_room`."""
        socket = self.find(sid, namespace)
        if socket is not None:
            await socket.leave(room_name(room))
        else:
            await self._select(sid, namespace).sockets_leave(room_name(room))

    async def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Take every client of every node out of a room. Raises TypeError as `enter_room`."""
        await self._select(room_name(room), namespace).sockets_leave(room_name(room))

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Disconnect a client of any node from a namespace; with `ignore_queue`, only one of this process."""
        socket = self.find(sid, namespace)
        if socket is not None:
            await socket.disconnect()
        elif not ignore_queue:
            await self._select(sid, namespace).disconnect_sockets()

    def rooms(self, sid: str, namespace: str | None = None) -> list[str]:
        """Return the rooms of a client of this process; none for an unknown one."""
        socket = self.find(sid, namespace)
        return [] if socket is None else sorted(socket.rooms)

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """Return `polling` or `websocket`. Raises KeyError as `get_session`."""
        return self._known(sid, namespace).transport

    def get_environ(self, sid: str, namespace: str | None = None) -> ClientEnviron | None:
        """Return the WSGI environment of a client of this process; None for an unknown one."""
        socket = self.find(sid, namespace)
        return None if socket is None else self.environ_of(socket)

    async def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """Return the session of a client of this process: `socket.data` in zmqio.

        Other nodes see its JSON-like values through `fetch_sockets`.

        Raises:
            KeyError: the client is not connected to this process.
        """
        return self._known(sid, namespace).data

    async def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> None:
        """Replace the session of a client of this process. Raises KeyError as `get_session`.

        Raises:
            TypeError: the session is not a dict.
        """
        if not isinstance(session, dict):
            raise TypeError(f"session={session!r:.80} must be a dict")
        self._known(sid, namespace).data = session

    def session(self, sid: str, namespace: str | None = None) -> "SavedSession":
        """Return the session of a client as a context manager: `async with sio.session(sid) as session: ...`."""
        return SavedSession(self, sid, namespace)

    # For the server of `zmqio.compat`.

    def space(self, namespace: str | None) -> Namespace:
        """Return a namespace of the server. Clients may join it only if it is served (`serves`)."""
        name = namespace or "/"
        space = self._spaces.get(name) or self.io.of(name)
        if self._serves(name):
            return space  # not kept here: the server closes empty dynamic namespaces
        if name not in self._spaces:
            self._spaces[name] = space
            space.use(self._check_served)
        return space

    def find(self, sid: str, namespace: str | None) -> Socket | None:
        """Return a socket of this process, also while its disconnect handler runs; None if the id is unknown."""
        socket = self.sockets.get(sid)
        return socket if socket is not None and socket.namespace == (namespace or "/") else None

    def environ_of(self, socket: Socket) -> ClientEnviron:
        """Return the environment of a client, always the same dict."""
        environ = self._environs.get(socket)
        if environ is None:
            environ = self._environs[socket] = make_environ(socket.handshake)
        return environ

    def _known(self, sid: str, namespace: str | None) -> Socket:
        socket = self.find(sid, namespace)
        if socket is None:
            raise KeyError(f"session {sid!r} is not connected to namespace {namespace or '/'!r} of this process")
        return socket

    def _select(self, room: str, namespace: str | None) -> Broadcast:
        return self.space(namespace).to(room)

    def _check_served(self, socket: Socket) -> None:
        if not self._serves(socket.namespace):
            raise ConnectRefused(UNSERVED)

    async def _ask(
        self, event: str, data: Any, target: Target, namespace: str | None, timeout_s: float
    ) -> Sequence[list[Any]]:
        space = self.space(namespace)
        await space.ready()
        check_event(event)
        for room in target.rooms or ():
            if (socket := self.find(room, namespace)) is not None:
                socket.confirm_connect()  # a client that is still connecting could not acknowledge
        packet = Packet(PacketType.EVENT, space.name, [event, *arguments(data)])
        frames = space.runtime.parser.encode_ackable(packet)
        return await space.adapter.broadcast_with_ack(frames, target, timeout_s)


class SavedSession:
    """The session of a client: a context manager that saves the session at its end.

    Args:
        operations: load and save it.
        sid: the session id of the client.
        namespace: None means `/`.
    """

    def __init__(self, operations: ClientOperations, sid: str, namespace: str | None) -> None:
        self._operations = operations
        self._sid = sid
        self._namespace = namespace
        self._session: dict[str, Any] = {}

    async def __aenter__(self) -> dict[str, Any]:
        self._session = await self._operations.get_session(self._sid, self._namespace)
        return self._session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._operations.save_session(self._sid, self._session, self._namespace)


async def _call_back(asking: "asyncio.Future[Sequence[list[Any]]]", callback: Callable[..., Any]) -> None:
    try:
        answers = await asking
    except RequestTimeoutError as error:
        answers = error.responses
    except ZmqioError as error:
        log.warning("callback_request_failed", error=str(error))
        return
    for answer in answers:
        try:
            await call_function(callback, *answer)
        except Exception:
            log.error("callback_failed", exc_info=True)
