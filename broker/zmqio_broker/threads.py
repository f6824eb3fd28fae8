"""Threads of the broker: each owns its sockets and ends with the context; a failure of one ends the broker.

A ZeroMQ socket belongs to one thread. The thread that starts the broker creates it and passes it on once (starting
a thread is the memory barrier that libzmq requires). The thread that received it closes it.
"""

import threading
from collections.abc import Callable, Sequence

import zmq

__all__ = ["SocketThread"]


class SocketThread:
    """A thread that runs `loop` over `sockets` until the context is terminated.

    Attributes:
        failure: the error that ended the thread; None while it runs or after the context was terminated.
    """

    def __init__(self, name: str, loop: Callable[[], None], sockets: Sequence[zmq.Socket[bytes]]) -> None:
        self.name = name
        self.failure: Exception | None = None
        self._loop = loop
        self._sockets = sockets
        # daemon: a thread that hangs must not keep the process alive after the main thread has logged why it
        # exits.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread. From now on no other thread may use the sockets."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread. Return whether it ended within `timeout_s` seconds."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop()
        except zmq.ContextTerminated:
            pass
        except Exception as error:  # noqa: BLE001 - the outer edge: the main thread logs it and stops the broker
            self.failure = error
        finally:
            for socket in self._sockets:
                socket.close(0)
