"""The checker process: reads all clients in turn and takes commands from a pipe.

`python -m tests.bench.soak.checker FD`: FD is one end of a `multiprocessing.Pipe`. A command is a tuple that
begins with a word; each is answered once:

command                                             answer
("connect", [(client, port, rooms)], capacity, ns)   clients that are connected and in their rooms
("change", client, room, joins)                      True; the acknowledgement is in the tally
("progress",)                                        {client: messages of each emitter that came}
("report",)                                          {client: Tally}; then the process ends
"""

import contextlib
import select
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

from tests.bench.soak.checks import Check
from tests.bench.soak.listener import Listener
from tests.bench.soak.load import NODES

__all__ = ["Checker"]

TICK_S = 0.001
"""Pause between two rounds of reading. Delays are measured to this precision."""


class Checker:
    """Runs until it has reported, or the harness has died.

    Args:
        pipe: source of the commands.
    """

    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        self._pipe = pipe
        self._listeners: dict[int, Listener] = {}
        self._by_fd: dict[int, Listener] = {}
        self._poll = select.poll()
        self._poll.register(pipe.fileno(), select.POLLIN)

    def run(self) -> None:
        """Read and check."""
        while True:
            for fd, _ in self._poll.poll():
                listener = self._by_fd.get(fd)
                if listener is None:
                    if not self._obey(self._pipe.recv()):
                        return
                elif not listener.read():
                    self._poll.unregister(fd)
            time.sleep(TICK_S)

    def _obey(self, command: tuple[Any, ...]) -> bool:
        word, *facts = command
        if word == "connect":
            self._connect(*facts)
            self._pipe.send(len(self._listeners))
        elif word == "change":
            client, room, joins = facts
            self._listeners[client].change(room, joins=joins)
            self._pipe.send(True)
        elif word == "progress":
            self._pipe.send({client: listener.tally.counts for client, listener in self._listeners.items()})
        else:
            self._pipe.send({client: listener.tally for client, listener in self._listeners.items()})
            return False
        return True

    def _connect(self, clients: list[tuple[int, int, frozenset[int]]], capacity: int, base_ns: int) -> None:
        for client, port, rooms in clients:
            check = Check(rooms, emitters=NODES, capacity=capacity, base_ns=base_ns)
            listener = self._listeners[client] = Listener(port, rooms, check)
            self._by_fd[listener.fileno()] = listener
            self._poll.register(listener.fileno(), select.POLLIN)


def main() -> None:
    """Check messages until the harness has received the report."""
    with contextlib.suppress(EOFError):  # the harness has died: the report has no reader
        Checker(Connection(int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
