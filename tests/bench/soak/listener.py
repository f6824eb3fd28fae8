"""A raw Socket.IO client on a WebSocket, for a process that reads many in turn. It blocks only while it connects.

It supports events, acknowledgements and pings, and no frames of 64 KiB or more.
"""

import base64
import json
import os
import socket
import struct
import time

from tests.bench.soak.checks import Check
from tests.bench.soak.load import HEAD, room_name

__all__ = ["Listener"]

LIMIT_S = 20.0
READ_BYTES = 1 << 18
TEXT, CLOSE = 0x81, 0x88
LONG, LONGEST = 126, 127
MASKED, NO_MASK = 0x80, bytes(4)


class Listener:
    """A client that is connected and in its rooms after construction.

    Args:
        port: port of the node on 127.0.0.1.
        rooms: rooms to join.
        check: checks every message.

    Attributes:
        tally: the results of the check.
    """

    def __init__(self, port: int, rooms: frozenset[int], check: Check) -> None:
        self._check = check
        self.tally = check.tally
        self._requests: dict[int, tuple[int, bool]] = {}
        self._next_ack_id = 0
        self._buffer = b""
        self._others: list[bytes] = []
        self._socket = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open(port, rooms)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the file descriptor, for polling."""
        return self._socket.fileno()

    def change(self, room: int, *, joins: bool) -> None:
        """Join or leave a room; the acknowledgement is recorded in `Tally.acked`."""
        self._check.may_come(room)
        self._requests[self._next_ack_id] = (room, joins)
        self._request(("join" if joins else "leave"), room)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def read(self) -> bool:
        """Read received data. Return False if the connection has ended."""
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
        self._request("join", *sorted(rooms))
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

    def _request(self, event: str, *rooms: int) -> None:
        self._send(f"42{self._next_ack_id}{json.dumps([event, *map(room_name, rooms)])}".encode())
        self._next_ack_id += 1

    def _send(self, text: bytes) -> None:
        size = len(text)
        head = struct.pack("!BB", TEXT, MASKED | size) if size < LONG else struct.pack("!BBH", TEXT, 0xFE, size)
        self._socket.sendall(head + NO_MASK + text)

    def _take(self, data: bytes, now_ns: int) -> None:
        """Parse complete frames. Nodes do not mask, and all frames are under 64 KiB."""
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
                self._check.message(packet, now_ns)
            else:
                self._other(buffer[at], packet, now_ns)
            at = start + size
        self._buffer = buffer[at:]

    def _other(self, opcode: int, packet: bytes, now_ns: int) -> None:
        if opcode == CLOSE:
            self.tally.closed = f"close frame {packet[2:].decode(errors='replace')}"
        elif packet == b"2":
            self._send(b"3")
        elif packet.startswith(b"43") and now_ns:
            self._acknowledged(int(packet[2 : packet.index(b"[")]), now_ns)
        else:
            self._others.append(packet)

    def _acknowledged(self, ack_id: int, now_ns: int) -> None:
        room, joins = self._requests.pop(ack_id)
        self.tally.acked.append((room, joins, now_ns))
