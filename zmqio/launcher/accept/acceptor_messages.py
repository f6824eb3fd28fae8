"""Messages between the supervisor and an acceptor: lines of text on their socket. Pure.

From the supervisor:

    add 2 aB3_              a worker in slot 2 with this tag is available; the link to it accompanies the line
    retire aB3_             choose the worker for no new sessions
    suspend aB3_            keep connections from the worker, which is stalled
    resume aB3_             the worker has recovered
    remove aB3_             choose the worker for no connection
    close                   stop accepting; the acceptor exits at the end of the socket

From the acceptor:

    ready                   the acceptor accepts as soon as a worker is available
    alive                   heartbeat of the event loop
    lost aB3_               the link to the worker has ended unexpectedly
    counted {"name": 3}     the counters of the balancer, after each heartbeat and at the end
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from zmqio.ids import NodeTag, parse_node_tag

__all__ = [
    "AcceptorAlive",
    "AcceptorCounters",
    "AcceptorMessage",
    "AcceptorReady",
    "AddWorker",
    "RemoveWorker",
    "ResumeWorker",
    "RetireWorker",
    "StopAccepting",
    "SupervisorMessage",
    "SuspendWorker",
    "WorkerLinkLost",
    "decode_acceptor_message",
    "decode_supervisor_message",
    "encode_message",
]


@dataclass(frozen=True, slots=True)
class AddWorker:
    """A worker is available: its slot and its tag."""

    slot: int
    tag: NodeTag


@dataclass(frozen=True, slots=True)
class RetireWorker:
    """Choose the worker for no new sessions."""

    tag: NodeTag


@dataclass(frozen=True, slots=True)
class SuspendWorker:
    """Keep connections from the worker until it recovers or is removed."""

    tag: NodeTag


@dataclass(frozen=True, slots=True)
class ResumeWorker:
    """Choose a suspended worker again."""

    tag: NodeTag


@dataclass(frozen=True, slots=True)
class RemoveWorker:
    """Choose the worker for no connection."""

    tag: NodeTag


@dataclass(frozen=True, slots=True)
class StopAccepting:
    """Stop accepting connections."""


@dataclass(frozen=True, slots=True)
class AcceptorReady:
    """The acceptor accepts as soon as a worker is available."""


@dataclass(frozen=True, slots=True)
class AcceptorAlive:
    """The event loop of the acceptor runs."""


@dataclass(frozen=True, slots=True)
class WorkerLinkLost:
    """The link to the worker has ended unexpectedly."""

    tag: NodeTag


@dataclass(frozen=True, slots=True)
class AcceptorCounters:
    """The counters of the balancer, by name."""

    counters: Mapping[str, int]


SupervisorMessage: TypeAlias = (
    AddWorker | RetireWorker | SuspendWorker | ResumeWorker | RemoveWorker | StopAccepting
)
AcceptorMessage: TypeAlias = AcceptorReady | AcceptorAlive | WorkerLinkLost | AcceptorCounters


def encode_message(message: SupervisorMessage | AcceptorMessage) -> bytes:
    """Encode a message as a line, with its newline."""
    match message:
        case AddWorker(slot, tag):
            text = f"add {slot} {tag}"
        case RetireWorker(tag):
            text = f"retire {tag}"
        case SuspendWorker(tag):
            text = f"suspend {tag}"
        case ResumeWorker(tag):
            text = f"resume {tag}"
        case RemoveWorker(tag):
            text = f"remove {tag}"
        case StopAccepting():
            text = "close"
        case AcceptorReady():
            text = "ready"
        case AcceptorAlive():
            text = "alive"
        case WorkerLinkLost(tag):
            text = f"lost {tag}"
        case AcceptorCounters(counters):
            text = f"counted {json.dumps(dict(counters))}"
    return f"{text}\n".encode()


def decode_supervisor_message(line: bytes) -> SupervisorMessage:
    """Decode a line from the supervisor.

    Raises:
        ValueError: the line is malformed.
    """
    match line.decode().split(" "):
        case ["add", slot, tag]:
            return AddWorker(int(slot), parse_node_tag(tag))
        case ["retire", tag]:
            return RetireWorker(parse_node_tag(tag))
        case ["suspend", tag]:
            return SuspendWorker(parse_node_tag(tag))
        case ["resume", tag]:
            return ResumeWorker(parse_node_tag(tag))
        case ["remove", tag]:
            return RemoveWorker(parse_node_tag(tag))
        case ["close"]:
            return StopAccepting()
    raise ValueError(f"{line[:80]!r} is not a supervisor message")


def decode_acceptor_message(line: bytes) -> AcceptorMessage:
    """Decode a line from an acceptor.

    Raises:
        ValueError: the line is malformed.
    """
    match line.decode().split(" ", 1):
        case ["ready"]:
            return AcceptorReady()
        case ["alive"]:
            return AcceptorAlive()
        case ["lost", tag]:
            return WorkerLinkLost(parse_node_tag(tag))
        case ["counted", text]:
            return AcceptorCounters({str(name): int(count) for name, count in json.loads(text).items()})
    raise ValueError(f"{line[:80]!r} is not an acceptor message")
