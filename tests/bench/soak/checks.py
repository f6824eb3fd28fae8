"""What one client checks of each message that comes: once, and in the emitter's order across its rooms. Pure.

Written for the cost: 12,000 messages a second are checked in Python, on a machine that nodes and brokers share.
"""

from array import array
from dataclasses import dataclass, field

from tests.bench.soak.load import HEAD, ROOMS, room_of

__all__ = ["Check", "Tally"]

# Where the parts of a message are, after HEAD; see `load.Message.text`.
START = len(HEAD)
EMITTER, NUMBER, ROOM, TIME = (slice(START + at, START + to) for at, to in ((0, 1), (1, 9), (9, 11), (11, 30)))
EXAMPLES_KEPT = 20


@dataclass(slots=True)
class Tally:
    """What one client has seen; travels to the harness at the end.

    Attributes:
        seen: of each emitter one byte for each number: 1 if that message has come.
        doubled: messages that came again.
        overtaken: messages that came after a later one of the same emitter.
        overtaken_in_room: those of them whose room had a later one too.
        strays: messages of rooms in which this client never was, or that are not what their number says.
        counts: messages of each emitter that came, doublings left out.
        delays_us: from the emit to here, of each.
        emitted_ms: when each was emitted, since `base_ns`.
        acked: (room, joined, time of the acknowledgement in ns) of each later join or leave.
        closed: why the connection ended, if it did.
        examples: the first few that came wrong, for people to read.
    """

    base_ns: int
    seen: list[bytearray]
    counts: list[int]
    doubled: int = 0
    overtaken: int = 0
    overtaken_in_room: int = 0
    strays: int = 0
    delays_us: "array[int]" = field(default_factory=lambda: array("I"))
    emitted_ms: "array[int]" = field(default_factory=lambda: array("I"))
    acked: list[tuple[int, bool, int]] = field(default_factory=list)
    closed: str = ""
    examples: list[str] = field(default_factory=list)


class Check:
    """Of one client.

    Args:
        rooms: what it is in.
        emitters: how many there are.
        capacity: numbers that an emitter may use.
        base_ns: times in the tally are counted from here.

    Attributes:
        tally: what has come so far.
    """

    def __init__(self, rooms: frozenset[int], *, emitters: int, capacity: int, base_ns: int) -> None:
        self.tally = Tally(base_ns, [bytearray(capacity) for _ in range(emitters)], [0] * emitters)
        self._rooms = set(rooms)
        self._highest = [-1] * emitters
        self._highest_in_room = [-1] * (emitters * ROOMS)

    def may_come(self, room: int) -> None:
        """It is about to join a room: messages of it are no strays from now on."""
        self._rooms.add(room)

    def message(self, packet: bytes, now_ns: int) -> None:
        """Check one packet that begins with HEAD, which came at `now_ns`."""
        emitter, number, room = int(packet[EMITTER]), int(packet[NUMBER]), int(packet[ROOM])
        tally = self.tally
        seen = tally.seen[emitter]
        if seen[number]:
            tally.doubled += 1
            self._wrong("doubled", emitter, number, room)
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
