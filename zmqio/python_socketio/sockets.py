"""The clients of one namespace of a python-socketio server. Implements `LocalSockets` for the adapter.

The adapter's rooms decide who receives an event. The tables of python-socketio (`manager.rooms`) repeat them, so
that `sio.rooms(sid)` and everything else that reads them stays true when another node changes a room.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol
from urllib.parse import parse_qsl

from zmqio.adapter.base import SocketDescription
from zmqio.ids import NodeId, Sid
from zmqio.protocol.packet import AckableFrames, Frames, Packet, PacketType
from zmqio.protocol.parser import Parser
from zmqio.python_socketio.ack_round import AckRound, ExpectedAck
from zmqio.python_socketio.connection import EncodedEvent, ManagedConnection
from zmqio.python_socketio.host import ServerHost
from zmqio.server.handshake import Handshake
from zmqio.server.listeners import Listeners
from zmqio.server.targeting import check_event

__all__ = ["ManagerSockets", "SocketsNamespace"]


class SocketsNamespace(Protocol):
    """The part of a namespace that its sockets use."""

    name: str
    listeners: Listeners


class ManagerSockets:
    """Maps session ids to connections, and delivers packets to them.

    Args:
        namespace: its name, and its functions for events of other nodes.
        manager: the tables of python-socketio: `rooms`, `callbacks`, `server`.
        host: acts on clients.
        parser: encodes events of outside services.
        node_id: id of this node.

    Attributes:
        connections: session id -> connection.
    """

    def __init__(
        self, namespace: SocketsNamespace, manager: Any, host: ServerHost, parser: Parser, node_id: NodeId
    ) -> None:
        self.connections: dict[Sid, ManagedConnection] = {}
        self._namespace = namespace.name
        self._listeners = namespace.listeners
        self._manager = manager
        self._host = host
        self._parser = parser
        self._node_id = node_id
        self._given_rooms: dict[str, Any] = {}

    def remember_room(self, name: str, given: Any) -> None:
        """Show a room in python-socketio's tables as the application gave it, for example 42 instead of "42"."""
        self._given_rooms[name] = given

    def remove(self, sid: Sid) -> None:
        """Forget a client that has disconnected, with the acknowledgements that it owes."""
        self.connections.pop(sid, None)
        for callback in self._manager.callbacks.pop(sid, {}).values():
            if isinstance(callback, ExpectedAck):
                callback.lost()

    # `LocalSockets`.

    def deliver(self, sids: Collection[Sid], frames: Frames, *, volatile: bool = False) -> None:
        """Queue one encoded packet for each of `sids`."""
        event = EncodedEvent(frames)
        find = self.connections.get
        for sid in sids:
            connection = find(sid)
            if connection is not None:
                connection.write(event, volatile=volatile)

    def deliver_with_ack(
        self,
        sids: Collection[Sid],
        frames: AckableFrames,
        on_ack: Callable[[list[Any]], None],
        on_expected: Callable[[int], None],
        timeout_s: float,
    ) -> None:
        """Queue a packet that asks for an acknowledgement, with an id of its own for each client."""
        here = [sid for sid in sids if sid in self.connections]
        on_expected(len(here))
        if not here:
            return
        asked: dict[Sid, int] = {}
        round_ = AckRound(len(here), on_ack, on_expected, timeout_s, partial(self._forget_acks, asked))
        for sid in here:
            asked[sid] = self._manager._generate_ack_id(sid, ExpectedAck(round_, self._host.run_in_loop))
        for sid, ack_id in asked.items():
            self.connections[sid].write(EncodedEvent(frames.fill(ack_id)))

    def encode(self, event: str, args: Sequence[Any]) -> Frames:
        """Encode an event that an outside service published. Raises PacketError as `LocalSockets.encode`."""
        check_event(event)
        return self._parser.encode(Packet(PacketType.EVENT, self._namespace, [event, *args]))

    def describe(self, sids: Collection[Sid]) -> list[SocketDescription]:
        """Describe the sockets of `sids` that are in this process; their `data` is empty."""
        return [self._describe(sid, self.connections[sid]) for sid in sids if sid in self.connections]

    def disconnect(self, sids: Collection[Sid], *, close: bool) -> None:
        """Disconnect sockets; with `close`, their whole connections."""
        for sid in sids:
            connection = self.connections.get(sid)
            if connection is None:
                continue
            if close:
                self._host.close_connection(connection)
            else:
                self._host.disconnect(sid, self._namespace)

    def server_side_event(self, args: Sequence[Any], respond: Callable[[list[Any]], None] | None) -> None:
        """Dispatch an event of another node."""
        self._host.spawn(self._listeners.server_side_event(args, respond))

    def room_event(self, event: str, room: str, sid: Sid | None) -> None:
        """Repeat a change of a room in python-socketio's tables."""
        given = self._given_rooms.get(room, room)
        if event == "join-room":
            with suppress(ValueError, KeyError):  # a room named after another client; a client that has just gone
                self._manager.basic_enter_room(sid, self._namespace, given)
        elif event == "leave-room":
            self._manager.basic_leave_room(sid, self._namespace, given)
        elif event == "delete-room":
            self._given_rooms.pop(room, None)

    def _describe(self, sid: Sid, connection: ManagedConnection) -> SocketDescription:
        environ = self._manager.server.environ.get(connection.socket.sid, {})
        handshake = describe_environ(environ, connection.connected_at_s)
        rooms = tuple(map(str, self._manager.get_rooms(sid, self._namespace)))
        return SocketDescription(sid, handshake, rooms, {}, self._node_id)

    def _forget_acks(self, asked: dict[Sid, int]) -> None:
        for sid, ack_id in asked.items():
            self._manager.callbacks.get(sid, {}).pop(ack_id, None)


def describe_environ(environ: dict[str, Any], time_s: float) -> dict[str, Any]:
    """Return the handshake of a client from its WSGI environment; its auth payload is not known."""
    headers = {key[5:].replace("_", "-").lower(): str(text) for key, text in environ.items() if key[:5] == "HTTP_"}
    query = environ.get("QUERY_STRING", "")
    path = environ.get("PATH_INFO", "")
    return Handshake(
        headers=headers,
        query=dict(parse_qsl(query, keep_blank_values=True)),
        auth={},
        address=str(environ.get("REMOTE_ADDR", "")),
        secure=environ.get("wsgi.url_scheme") == "https",
        time=time_s,
        url=f"{path}?{query}" if query else path,
    ).describe()
