"""What a worker tells who gives it connections, its parent or an acceptor: lines of text on their socket. Pure.

The other way goes one byte with each connection that is handed over (`PASS`).

    ready                   it serves
    closed 3                that many more of the connections that it was given have ended
    stopping                it has been told to stop, and takes what is on its way until the socket's end
    failed {"reason": ..}   it cannot serve, and ends
"""

import json
from dataclasses import dataclass
from typing import TypeAlias

from zmqio.launcher.ipc.line_reader import LineReader

__all__ = ["PASS", "Closed", "Failed", "Report", "ReportReader", "Stopping", "WorkerReady", "encode"]

PASS = b"c"
"""Travels with a connection: SCM_RIGHTS needs at least one byte."""

_TRACEBACK_CHARACTERS = 20_000
"""Longest traceback that is handed on; of a longer one, its end."""


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """It serves."""


@dataclass(frozen=True, slots=True)
class Closed:
    """That many more connections have ended."""

    count: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """It takes connections only until the end of the socket."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot serve.

    Attributes:
        reason: one line.
        traceback: of the error in the application, or empty.
    """

    reason: str
    traceback: str = ""


Report: TypeAlias = WorkerReady | Closed | Stopping | Failed


def encode(report: Report) -> bytes:
    """The line of a report."""
    match report:
        case WorkerReady():
            return b"ready\n"
        case Closed(count):
            return b"closed %d\n" % count
        case Stopping():
            return b"stopping\n"
        case Failed(reason, traceback):
            fields = {"reason": reason, "traceback": traceback[-_TRACEBACK_CHARACTERS:]}
            return f"failed {json.dumps(fields)}\n".encode()


class ReportReader:
    """Puts lines together from what comes in pieces."""

    def __init__(self) -> None:
        self._lines = LineReader()

    def feed(self, data: bytes) -> list[Report]:
        """The reports that are complete now.

        Raises:
            ValueError: it is no report, or an endless one: the other end is no worker of this release.
        """
        return [_decode(line) for line in self._lines.feed(data)]


def _decode(line: bytes) -> Report:
    kind, _, rest = line.partition(b" ")
    match kind:
        case b"ready":
            return WorkerReady()
        case b"closed":
            return Closed(int(rest))
        case b"stopping":
            return Stopping()
        case b"failed":
            return Failed(**json.loads(rest))
    raise ValueError(f"not a report: {line[:80]!r}")
