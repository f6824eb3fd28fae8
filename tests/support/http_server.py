"""Web servers in place of a broker: they answer every connection with HTTP and close it."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.support.timing import LIMIT_S

__all__ = ["web_servers"]

ANSWER = b"HTTP/1.1 400 Bad Request\r\n\r\n" + b" " * 100


@contextlib.contextmanager
def web_servers(first_port: int, count: int = 1) -> Iterator[list[int]]:
    """Servers on adjacent loopback ports; yields a list that grows by the port of each connection."""
    accepted: list[int] = []
    listeners = [socket.create_server(("127.0.0.1", first_port + offset)) for offset in range(count)]
    threads = [threading.Thread(target=_serve, args=(listener, accepted), daemon=True) for listener in listeners]
    for thread in threads:
        thread.start()
    try:
        yield accepted
    finally:
        for listener in listeners:
            # Closing alone does not wake the thread that waits in `accept`.
            listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(LIMIT_S)
        for listener in listeners:
            listener.close()


def _serve(listener: socket.socket, accepted: list[int]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        accepted.append(listener.getsockname()[1])
        with contextlib.suppress(OSError), connection:
            connection.sendall(ANSWER)
