"""The state of the peer of a socket, as far as it is known."""

import socket

from zmqio.launcher.ipc.peer_state import peer_has_closed


def test_half_close_behind_unread_bytes_is_detected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        connection, _ = listener.accept()
        with client, connection:
            client.sendall(b"x")
            assert not peer_has_closed(connection)
            client.shutdown(socket.SHUT_WR)
            connection.recv(1, socket.MSG_PEEK)
            assert peer_has_closed(connection)
