"""What the supervisor and an acceptor tell each other: lines of text on their socket. Pure.

The supervisor orders:

    add 2 aB3_              there is a worker in that place with that tag; the link to it travels with this line
    retire aB3_             it gets no new session any more
    remove aB3_             it gets nothing any more
    close                   accept no more; the end of the socket then ends the acceptor

The acceptor notes:

    ready                   it accepts as soon as there is a worker
    lost aB3_               the link to that worker has ended without an order
    counted {"accepted": 3} what its balancer counted, at the end
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from zmqio.ids import NodeTag, parse_node_tag

__all__ = [
    "AcceptorReady",
    "Add",
    "Close",
    "Counted",
    "Lost",
    "Note",
    "Order",
    "Remove",
    "Retire",
    "decode_note",
    "decode_order",
    "encode",
]


@dataclass(frozen=True, slots=True)
class Add:
    """There is a worker: its place, and its tag."""

    slot: int
    tag: NodeTag


@dataclass(frozen=True, slots=True)
class Retire:
    """It gets no new session any more."""

    tag: NodeTag


@dataclass(frozen=True, slots=True)
class Remove:
    """It gets nothing any more."""

    tag: NodeTag


@dataclass(frozen=True, slots=True)
class Close:
    """Accept no more."""


@dataclass(frozen=True, slots=True)
class AcceptorReady:
    """It accepts."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The link to that worker has ended unasked."""

    tag: NodeTag


@dataclass(frozen=True, slots=True)
class Counted:
    """What its balancer counted, by name."""

    counters: Mapping[str, int]


Order: TypeAlias = Add | Retire | Remove | Close
Note: TypeAlias = AcceptorReady | Lost | Counted


def encode(message: Order | Note) -> bytes:
    """Its line, with the newline."""
    match message:
        case Add(slot, tag):
            text = f"add {slot} {tag}"
        case Retire(tag):
            text = f"retire {tag}"
        case Remove(tag):
            text = f"remove {tag}"
        case Close():
            text = "close"
        case AcceptorReady():
            text = "ready"
        case Lost(tag):
            text = f"lost {tag}"
        case Counted(counters):
            text = f"counted {json.dumps(dict(counters))}"
    return f"{text}\n".encode()


def decode_order(line: bytes) -> Order:
    """Read a line of the supervisor's.

    Raises:
        ValueError: it is none.
    """
    match line.decode().split(" "):
        case ["add", slot, tag]:
            return Add(int(slot), parse_node_tag(tag))
        case ["retire", tag]:
            return Retire(parse_node_tag(tag))
        case ["remove", tag]:
            return Remove(parse_node_tag(tag))
        case ["close"]:
            return Close()
    raise ValueError(f"not an order: {line[:80]!r}")


def decode_note(line: bytes) -> Note:
    """Read a line of an acceptor's.

    Raises:
        ValueError: it is none.
    """
    match line.decode().split(" ", 1):
        case ["ready"]:
            return AcceptorReady()
        case ["lost", tag]:
            return Lost(parse_node_tag(tag))
        case ["counted", text]:
            return Counted({str(name): int(count) for name, count in json.loads(text).items()})
    raise ValueError(f"not an acceptor's note: {line[:80]!r}")
