"""The load: who is in which room, which message goes to which room, and what a message looks like. Pure.

Every message can be told from every other by its emitter and number, so a checker needs no list of what was sent:
the room of a message follows from both.
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
"""Nobody is in it at first: its messages leave the emitter and reach no node. Clients of `join-churn` join it."""

HEAD = b'42["m","'
"""What a Socket.IO packet of a message begins with; the text follows."""
SPREAD = 2_654_435_761
"""Knuth's multiplicative hash: neighbours in number are no neighbours in room."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one message says of itself.

    Attributes:
        emitter: index of the node that emitted it.
        number: one counter for each emitter over all rooms, from 0.
        emitted_ns: CLOCK_MONOTONIC, the same in all processes of the machine.
    """

    emitter: int
    number: int
    emitted_ns: int

    def text(self) -> str:
        """100 characters: emitter (1), number (8), room (2), time (19), filler."""
        room = room_of(self.emitter, self.number)
        head = f"{self.emitter:1d}{self.number:08d}{room:02d}{self.emitted_ns:019d}"
        return head.ljust(TEXT_BYTES, ".")


def room_of(emitter: int, number: int) -> int:
    """The room that a message goes to."""
    return ((number + emitter) * SPREAD >> 16) % ROOMS


def room_name(room: int) -> str:
    """As the server knows it."""
    return f"room-{room:02d}"


def _rooms_of(node: int, client: int) -> tuple[int, ...]:
    """Four rooms: one of two that have members on all nodes, and three out of eight that are the node's.

    The eight overlap with those of the next node: some rooms have members on two nodes, some on one only. Clients
    next to each other share rooms.
    """
    own = [2 + (5 * node + at) % (ROOMS - 3) for at in range(8)]
    return (client % 2, *(own[(2 * client + at) % 8] for at in range(3)))


MEMBERS: dict[int, tuple[int, frozenset[int]]] = {
    node * CLIENTS_PER_NODE + client: (node, frozenset(_rooms_of(node, client)))
    for node in range(NODES)
    for client in range(CLIENTS_PER_NODE)
}
"""Of each client the node that it is connected to, and its rooms."""
