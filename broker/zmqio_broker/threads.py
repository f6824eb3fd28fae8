"""Threads of the broker: each owns its sockets, ends with the context, and a failure ends the broker.

A ZeroMQ socket belongs to one thread. It is made by the thread that starts the broker, handed over once (starting
a thread is the memory barrier that libzmq asks for), and closed by the thread that got it.
"""

import threading
from collections.abc import Callable, Sequence

import zmq

__all__ = ["SocketThread"]


class SocketThread:
    """A thread that runs `loop` over `sockets` until the context is terminated.

    Attributes:
        failure: the error that ended it, if it was not the end of the context.
    """

    def __init__(self, name: str, loop: Callable[[], None], sockets: Sequence[zmq.Socket[bytes]]) -> None:
        self.name = name
        self.failure: Exception | None = None
        self._loop = loop
        self._sockets = sockets
        # daemon: a thread that hangs must not keep the process after the main thread has said why it ends.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Hand the sockets over; from now on nobody else may touch them."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; whether it came within `timeout_s` seconds."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop()
        except zmq.ContextTerminated:
            pass
        except Exception as error:  # noqa: BLE001 - the outer edge: the main thread logs it and ends the broker
            self.failure = error
        finally:
            for socket in self._sockets:
                socket.close(0)
