"""The load: the rooms of each client, the room of each message, and the format of a message. Pure.

A message is identified by its emitter and number, and its room follows from both. A checker therefore needs no
list of sent messages.
"""

from dataclasses import dataclass

__all__ = [
    "CLIENTS_PER_NODE",
    "EMPTY_ROOM",
    "HEAD",
    "MEMBERS",
    "NODES",
    "ROOMS",
    "Message",
    "room_name",
    "room_of",
]

NODES = 3
CLIENTS_PER_NODE = 4
ROOMS = 20
TEXT_BYTES = 100
EMPTY_ROOM = 19
"""Empty at first: its messages reach no node. Clients of `join-churn` join it."""

HEAD = b'42["m","'
"""Start of a message's Socket.IO packet; the text follows."""
SPREAD = 2_654_435_761
"""Knuth's multiplicative hash: consecutive numbers are spread over the rooms."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        emitter: index of the node that emitted it.
        number: from 0; one counter per emitter over all rooms.
        emitted_ns: CLOCK_MONOTONIC, the same in all processes of the machine.
    """

    emitter: int
    number: int
    emitted_ns: int

    def text(self) -> str:
        """Return the text, 100 characters: emitter (1), number (8), room (2), time (19), filler."""
        room = room_of(self.emitter, self.number)
        head = f"{self.emitter:1d}{self.number:08d}{room:02d}{self.emitted_ns:019d}"
        return head.ljust(TEXT_BYTES, ".")


def room_of(emitter: int, number: int) -> int:
    """Return the room of a message."""
    return ((number + emitter) * SPREAD >> 16) % ROOMS


def room_name(room: int) -> str:
    """Return the name of a room."""
    return f"room-{room:02d}"


def _rooms_of(node: int, client: int) -> tuple[int, ...]:
    """Return four rooms: one of two with members on all nodes, and three of the node's eight rooms.

    The eight rooms overlap with those of the next node, so that some rooms have members on two nodes and some on
    one. Consecutive clients share rooms.
    """
    own = [2 + (5 * node + at) % (ROOMS - 3) for at in range(8)]
    return (client % 2, *(own[(2 * client + at) % 8] for at in range(3)))


MEMBERS: dict[int, tuple[int, frozenset[int]]] = {
    node * CLIENTS_PER_NODE + client: (node, frozenset(_rooms_of(node, client)))
    for node in range(NODES)
    for client in range(CLIENTS_PER_NODE)
}
"""For each client, its node and its rooms."""
