"""The checks of one client: every message arrives once, in the emitter's order across rooms. Pure.

Written for the cost: 12,000 messages a second are checked in Python, on a machine that nodes and brokers share.
"""

from array import array
from dataclasses import dataclass, field

from tests.bench.soak.load import HEAD, ROOMS, room_of

__all__ = ["Check", "Tally"]

# Positions of the parts of a message after HEAD; see `load.Message.text`.
START = len(HEAD)
EMITTER, NUMBER, ROOM, TIME = (slice(START + at, START + to) for at, to in ((0, 1), (1, 9), (9, 11), (11, 30)))
EXAMPLES_KEPT = 20


@dataclass(slots=True)
class Tally:
    """The results of one client, sent to the harness at the end.

    Attributes:
        seen: for each emitter, one byte per number: 1 if that message was received.
        duplicated: messages received again.
        overtaken: messages received after a later message of the same emitter.
        overtaken_in_room: overtaken messages whose later message was in the same room.
        strays: messages of rooms that this client never joined, or with the wrong content for their number.
        counts: messages received from each emitter, without duplicates.
        delays_us: time from the emit to the reception of each message.
        emitted_ms: time of each emit, since `base_ns`.
        acked: (room, joined, time of the acknowledgement in ns) of each later join or leave.
        closed: reason why the connection ended, if it did.
        examples: descriptions of the first few errors.
    """

    base_ns: int
    seen: list[bytearray]
    counts: list[int]
    duplicated: int = 0
    overtaken: int = 0
    overtaken_in_room: int = 0
    strays: int = 0
    delays_us: "array[int]" = field(default_factory=lambda: array("I"))
    emitted_ms: "array[int]" = field(default_factory=lambda: array("I"))
    acked: list[tuple[int, bool, int]] = field(default_factory=list)
    closed: str = ""
    examples: list[str] = field(default_factory=list)


class Check:
    """Checks the messages of one client.

    Args:
        rooms: the client's rooms.
        emitters: number of emitters.
        capacity: most messages per emitter.
        base_ns: zero of the times in the tally.

    Attributes:
        tally: the results so far.
    """

    def __init__(self, rooms: frozenset[int], *, emitters: int, capacity: int, base_ns: int) -> None:
        self.tally = Tally(base_ns, [bytearray(capacity) for _ in range(emitters)], [0] * emitters)
        self._rooms = set(rooms)
        self._highest = [-1] * emitters
        self._highest_in_room = [-1] * (emitters * ROOMS)

    def may_come(self, room: int) -> None:
        """Accept messages of a room that the client is about to join."""
        self._rooms.add(room)

    def message(self, packet: bytes, now_ns: int) -> None:
        """Check one packet that begins with HEAD, received at `now_ns`."""
        emitter, number, room = int(packet[EMITTER]), int(packet[NUMBER]), int(packet[ROOM])
        tally = self.tally
        seen = tally.seen[emitter]
        if seen[number]:
            tally.duplicated += 1
            self._wrong("duplicated", emitter, number, room)
            return
        seen[number] = 1
        tally.counts[emitter] += 1
        line = emitter * ROOMS + room
        if number > self._highest[emitter]:
            self._highest[emitter] = self._highest_in_room[line] = number
        else:
            tally.overtaken += 1
            tally.overtaken_in_room += number < self._highest_in_room[line]
            self._highest_in_room[line] = max(self._highest_in_room[line], number)
            self._wrong(f"overtaken by {self._highest[emitter]}", emitter, number, room)
        if room not in self._rooms or room != room_of(emitter, number):
            tally.strays += 1
            self._wrong("stray", emitter, number, room)
        emitted_ns = int(packet[TIME])
        tally.delays_us.append(max(now_ns - emitted_ns, 0) // 1000)
        tally.emitted_ms.append((emitted_ns - tally.base_ns) // 1_000_000)

    def _wrong(self, what: str, emitter: int, number: int, room: int) -> None:
        if len(self.tally.examples) < EXAMPLES_KEPT:
            self.tally.examples.append(f"{what}: message {number} of emitter {emitter} in room {room}")
