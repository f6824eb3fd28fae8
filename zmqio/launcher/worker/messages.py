"""Messages of a worker to a process that passes it connections (its parent or an acceptor): lines of text. Pure.

In the other direction only sockets travel, each with the byte `FD_MARKER`.

    ready                   the worker serves
    alive                   heartbeat of the event loop
    closed 3                three more of the connections passed over this link are closed
    counted [[..], ..]      the metrics of the process
    stopping                the worker is stopping, and takes only what was sent before the end of the socket
    failed {"reason": ..}   the worker cannot serve, and exits
"""

import json
from dataclasses import dataclass
from typing import TypeAlias

from zmqio.launcher.ipc.line_reader import LineReader
from zmqio.metrics.samples import Sample

__all__ = [
    "FD_MARKER",
    "MAX_SAMPLES_BYTES",
    "ConnectionsClosed",
    "WorkerAlive",
    "WorkerFailed",
    "WorkerMessage",
    "WorkerMessageReader",
    "WorkerReady",
    "WorkerSamples",
    "WorkerStopping",
    "encode_worker_message",
]

FD_MARKER = b"c"
"""Accompanies each socket, because SCM_RIGHTS needs at least one byte of data."""

_MAX_TRACEBACK_CHARACTERS = 20_000
"""Of a longer traceback, only the end is sent."""
MAX_SAMPLES_BYTES = 96 << 10
"""Of a longer report, only the metrics without labels are sent: the reader refuses lines of more than 128 KiB."""


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """The worker serves."""


@dataclass(frozen=True, slots=True)
class WorkerAlive:
    """The event loop of the worker runs."""


@dataclass(frozen=True, slots=True)
class ConnectionsClosed:
    """Further connections that were passed over this link are closed: `count` of them."""

    count: int


@dataclass(frozen=True, slots=True)
class WorkerSamples:
    """The metrics of the process at one moment."""

    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class WorkerStopping:
    """The worker is stopping, and takes only what was sent before the end of the socket."""


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """The worker cannot serve.

    Attributes:
        reason: one line.
        traceback: traceback of the error in the application, or empty.
    """

    reason: str
    traceback: str = ""


WorkerMessage: TypeAlias = (
    WorkerReady | WorkerAlive | ConnectionsClosed | WorkerSamples | WorkerStopping | WorkerFailed
)


def encode_worker_message(message: WorkerMessage) -> bytes:
    """Encode a message as a line."""
    match message:
        case WorkerReady():
            return b"ready\n"
        case WorkerAlive():
            return b"alive\n"
        case ConnectionsClosed(count):
            return b"closed %d\n" % count
        case WorkerSamples(samples):
            return _encode_samples(samples)
        case WorkerStopping():
            return b"stopping\n"
        case WorkerFailed(reason, traceback):
            fields = {"reason": reason, "traceback": traceback[-_MAX_TRACEBACK_CHARACTERS:]}
            return f"failed {json.dumps(fields)}\n".encode()


def _encode_samples(samples: tuple[Sample, ...]) -> bytes:
    line = f"counted {json.dumps(samples)}\n".encode()
    if len(line) <= MAX_SAMPLES_BYTES:
        return line
    return f"counted {json.dumps([sample for sample in samples if not sample.labels])}\n".encode()


class WorkerMessageReader:
    """Decodes messages from a byte stream."""

    def __init__(self) -> None:
        self._lines = LineReader()

    def feed(self, data: bytes) -> list[WorkerMessage]:
        """Return the messages that `data` completes.

        Raises:
            ValueError: a message is malformed or too long, so the peer is not a worker of this release.
        """
        try:
            return [_decode(line) for line in self._lines.feed(data)]
        except TypeError as error:  # JSON of another shape
            raise ValueError(str(error)) from error


def _decode(line: bytes) -> WorkerMessage:
    kind, _, rest = line.partition(b" ")
    match kind:
        case b"ready":
            return WorkerReady()
        case b"alive":
            return WorkerAlive()
        case b"closed":
            return ConnectionsClosed(int(rest))
        case b"counted":
            return WorkerSamples(tuple(_sample(*fields) for fields in json.loads(rest)))
        case b"stopping":
            return WorkerStopping()
        case b"failed":
            return WorkerFailed(**json.loads(rest))
    raise ValueError(f"{line[:80]!r} is not a worker message")


def _sample(metric: str, value: float, labels: list[list[str]], suffix: str) -> Sample:
    return Sample(metric, value, tuple((name, text) for name, text in labels), suffix)
