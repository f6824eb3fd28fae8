"""Tests of `zmqio.python_socketio.connection`, on a socket of python-engineio."""

import engineio
from engineio.async_socket import AsyncSocket

from zmqio.config import ManagerOptions
from zmqio.python_socketio.connection import EncodedEvent, ManagedConnection


def make(options: ManagerOptions | None = None) -> tuple[ManagedConnection, list[ManagedConnection]]:
    slow: list[ManagedConnection] = []
    socket = AsyncSocket(engineio.AsyncServer(async_mode="asgi"), "eio")
    return ManagedConnection(socket, options or ManagerOptions(), slow.append), slow


def queued(connection: ManagedConnection) -> list[object]:
    queue = connection.socket.queue
    return [queue.get_nowait() for _ in range(queue.qsize())]


async def test_clients_share_a_text_packet_and_not_a_binary_one() -> None:
    text, binary = EncodedEvent(("text",)), EncodedEvent(("51-[]", b"\xff"))
    assert text.packets() is text.packets()
    over_polling, over_websocket = binary.packets()[1], binary.packets()[1]
    assert over_polling.encode(b64=True) == "b/w=="
    assert over_websocket.encode() == b"\xff"
    assert binary.sizes == (5, 1)


async def test_packets_are_queued_in_order_unless_the_client_has_gone() -> None:
    connection, _ = make()
    connection.write(EncodedEvent(("1",)))
    connection.write(EncodedEvent(("2", b"3")))
    assert [packet.encode() for packet in queued(connection)] == ["41", "42", b"3"]  # type: ignore[attr-defined]
    connection.socket.closed = True
    connection.write(EncodedEvent(("4",)))
    assert queued(connection) == []


async def test_a_volatile_event_is_dropped_behind_others() -> None:
    connection, _ = make()
    for number in range(3):
        connection.write(EncodedEvent((str(number),)), volatile=True)
    assert connection.socket.queue.qsize() == 1


async def test_a_slow_client_is_reported_once() -> None:
    connection, slow = make(ManagerOptions(session_buffer_packets=1, slow_client_grace_s=0))
    for _ in range(20):
        connection.write(EncodedEvent(("x",)))
    assert slow == [connection]
    assert connection.size_bytes == 2
    connection.discard_queue()
    assert queued(connection) == [None]  # python-engineio's writer ends
