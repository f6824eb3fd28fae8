"""One raw Socket.IO client on a WebSocket, which checks every message that comes: once, and in order.

Written for the cost: 12,000 messages a second have to be checked on a machine that three nodes, a broker and
five emitters' loops share. It never waits: the checker reads it when there is something to read.
"""

import base64
import json
import os
import socket
import struct
import time
from array import array
from dataclasses import dataclass, field

from tests.bench.soak.load import HEAD, ROOMS, room_of

__all__ = ["Listener", "Tally"]

LIMIT_S = 20.0
READ_BYTES = 1 << 18
TEXT, CLOSE = 0x81, 0x88
LONG, LONGEST = 126, 127
MASKED, NO_MASK = 0x80, bytes(4)
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
        count: messages that came, doublings left out.
        delays_us: from the emit to here, of each.
        emitted_ms: when each was emitted, since `base_ns`.
        acked: (room, joined, CLOCK_MONOTONIC of the acknowledgement in ns) of each later join or leave.
        closed: why the connection ended, if it did.
        examples: the first few that came wrong, for people to read.
    """

    base_ns: int
    seen: list[bytearray]
    rooms: frozenset[int]
    doubled: int = 0
    overtaken: int = 0
    overtaken_in_room: int = 0
    strays: int = 0
    count: int = 0
    delays_us: "array[int]" = field(default_factory=lambda: array("I"))
    emitted_ms: "array[int]" = field(default_factory=lambda: array("I"))
    acked: list[tuple[int, bool, int]] = field(default_factory=list)
    closed: str = ""
    examples: list[str] = field(default_factory=list)


class Listener:
    """Connected, and in its rooms, when it has been made.

    Args:
        port: of the node, on 127.0.0.1.
        rooms: what it joins.
        emitters: how many there are.
        capacity: numbers that an emitter may use.
        base_ns: times are counted from here.
    """

    def __init__(self, port: int, rooms: frozenset[int], emitters: int, capacity: int, base_ns: int) -> None:
        self.tally = Tally(base_ns, [bytearray(capacity) for _ in range(emitters)], rooms)
        self._highest = [-1] * emitters
        self._highest_in_room = [-1] * (emitters * ROOMS)
        self._allowed = set(rooms)
        self._asked: dict[int, tuple[int, bool]] = {}
        self._next_ask = 0
        self._buffer = b""
        self._others: list[bytes] = []
        self._socket = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open(port, rooms)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """For a poll."""
        return self._socket.fileno()

    def change(self, room: int, *, joins: bool) -> None:
        """Join or leave a room; the acknowledgement goes to `Tally.acked`."""
        self._allowed.add(room)
        self._asked[self._next_ask] = (room, joins)
        self._ask(("join" if joins else "leave"), room)

    def close(self) -> None:
        """Drop the connection."""
        self._socket.close()

    def read(self) -> bool:
        """Take what has come; False when the connection has ended."""
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return True
        except OSError as error:
            self.tally.closed = str(error)
            return False
        if not data:
            self.tally.closed = self.tally.closed or "closed by the node"
            return False
        self._take(data, time.monotonic_ns())
        return True

    def _open(self, port: int, rooms: frozenset[int]) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self._wait()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        if b" 101 " not in head:
            raise OSError(f"no WebSocket: {head[:80]!r}")
        self._send(b"40")
        self._wait_for(b"40")
        self._ask("join", *sorted(rooms))
        self._wait_for(b"430")

    def _wait(self) -> bytes:
        data = self._socket.recv(READ_BYTES)
        if not data:
            raise OSError("the node closed the connection")
        return data

    def _wait_for(self, start: bytes) -> None:
        self._take(b"", 0)
        while not any(packet.startswith(start) for packet in self._others):
            self._take(self._wait(), 0)
        self._others.clear()

    def _ask(self, event: str, *rooms: int) -> None:
        names = [f"room-{room:02d}" for room in rooms]
        self._send(f"42{self._next_ask}{json.dumps([event, *names])}".encode())
        self._next_ask += 1

    def _send(self, text: bytes) -> None:
        size = len(text)
        head = struct.pack("!BB", TEXT, MASKED | size) if size < LONG else struct.pack("!BBH", TEXT, 0xFE, size)
        self._socket.sendall(head + NO_MASK + text)

    def _take(self, data: bytes, now_ns: int) -> None:
        """Take whole frames; a node never masks, and these are all under 64 KiB."""
        buffer = self._buffer + data if self._buffer else data
        at, end = 0, len(buffer)
        while end - at >= 2:
            size, start = buffer[at + 1], at + 2
            if size >= LONG:
                assert size != LONGEST, "a frame of 64 KiB or more"
                if end - at < 4:
                    break
                size, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            if end - start < size:
                break
            packet = buffer[start : start + size]
            if packet.startswith(HEAD):
                self._check(packet, now_ns)
            else:
                self._other(buffer[at], packet, now_ns)
            at = start + size
        self._buffer = buffer[at:]

    def _check(self, packet: bytes, now_ns: int) -> None:
        emitter, number, room = int(packet[EMITTER]), int(packet[NUMBER]), int(packet[ROOM])
        tally = self.tally
        seen = tally.seen[emitter]
        if seen[number]:
            tally.doubled += 1
            self._wrong("doubled", emitter, number, room)
            return
        seen[number] = 1
        tally.count += 1
        line = emitter * ROOMS + room
        if number > self._highest[emitter]:
            self._highest[emitter] = self._highest_in_room[line] = number
        else:
            tally.overtaken += 1
            tally.overtaken_in_room += number < self._highest_in_room[line]
            self._highest_in_room[line] = max(self._highest_in_room[line], number)
            self._wrong(f"overtaken by {self._highest[emitter]}", emitter, number, room)
        if room not in self._allowed or room != room_of(emitter, number):
            tally.strays += 1
            self._wrong("stray", emitter, number, room)
        emitted_ns = int(packet[TIME])
        tally.delays_us.append(max(now_ns - emitted_ns, 0) // 1000)
        tally.emitted_ms.append((emitted_ns - tally.base_ns) // 1_000_000)

    def _wrong(self, what: str, emitter: int, number: int, room: int) -> None:
        if len(self.tally.examples) < EXAMPLES_KEPT:
            self.tally.examples.append(f"{what}: message {number} of emitter {emitter} in room {room}")

    def _other(self, opcode: int, packet: bytes, now_ns: int) -> None:
        if opcode == CLOSE:
            self.tally.closed = f"close frame {packet[2:].decode(errors='replace')}"
        elif packet == b"2":
            self._send(b"3")
        elif packet.startswith(b"43") and now_ns:
            self._answered(int(packet[2 : packet.index(b"[")]), now_ns)
        else:
            self._others.append(packet)

    def _answered(self, ask: int, now_ns: int) -> None:
        room, joins = self._asked.pop(ask)
        self.tally.acked.append((room, joins, now_ns))
