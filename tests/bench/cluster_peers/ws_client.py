"""A raw Socket.IO client on one blocking WebSocket: no event loop between the kernel and the clock."""

import base64
import json
import os
import re
import socket
import struct
import time
from collections import deque
from types import TracebackType
from typing import Any

__all__ = ["WsClient"]

LIMIT_S = 90.0
READ_BYTES = 65_536
MASK = b"\0\0\0\0"  # masking with zeros is valid, and costs nothing
STAMP = re.compile(rb'42\["m","(\d+)')


class WsClient:
    """Connected to the namespace `/` once it is created.

    Args:
        port: of a node on 127.0.0.1.

    Attributes:
        latencies_ns: for each received event `m`, from the time in its text to its reception.
        said: numbers of the received events `said`.
    """

    def __init__(self, port: int) -> None:
        self.latencies_ns: list[int] = []
        self.said: set[int] = set()
        self._answers: set[int] = set()
        self._asked = 0
        self._buffer = bytearray()
        self._others: deque[bytes] = deque()
        self._socket = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._open(port)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "WsClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection."""
        self._socket.close()

    def order(self, event: str, *args: Any) -> int:
        """Emit an event that requests an acknowledgement; return its number."""
        self._asked += 1
        self._send(f"42{self._asked}{json.dumps([event, *args])}".encode())
        return self._asked

    def wait_answer(self, number: int) -> None:
        """Wait for the acknowledgement of a command."""
        while number not in self._answers:
            self._read()

    def wait_said(self, number: int, limit_s: float) -> bool:
        """Wait for the event `said` with that number; False after `limit_s`."""
        ends_at = time.monotonic() + limit_s
        while number not in self.said:
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                return False
            self._read_within(left_s)
        return True

    def wait_messages(self, count: int, limit_s: float) -> None:
        """Wait until `count` events `m` were received, or none for `limit_s`."""
        while len(self.latencies_ns) < count and self._read_within(limit_s):
            pass

    def _open(self, port: int) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            (
                f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if b" 101 " not in head:
            raise OSError(f"no WebSocket: {head[:80]!r}")
        self._buffer = bytearray(rest)
        self._send(b"40")
        while not any(packet.startswith(b"40") for packet in self._others):
            self._take(time.monotonic_ns())
            if not any(packet.startswith(b"40") for packet in self._others):
                self._fill()

    def _send(self, text: bytes) -> None:
        size = len(text)
        head = struct.pack("!BB", 0x81, 0x80 | size) if size < 126 else struct.pack("!BBH", 0x81, 0xFE, size)
        self._socket.sendall(head + MASK + text)

    def _read_within(self, limit_s: float) -> bool:
        self._socket.settimeout(limit_s)
        try:
            self._read()
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(LIMIT_S)
        return True

    def _read(self) -> None:
        self._fill()
        self._take(self._filled_ns)

    def _fill(self) -> None:
        data = self._socket.recv(READ_BYTES)
        self._filled_ns = time.monotonic_ns()
        if not data:
            raise OSError("the node closed the connection")
        self._buffer += data

    def _take(self, now_ns: int) -> None:
        """Take whole frames; a node never masks and these are all under 64 KiB."""
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            size, start = buffer[at + 1], at + 2
            if size == 126:
                if len(buffer) < at + 4:
                    break
                (size,), start = struct.unpack_from("!H", buffer, at + 2), at + 4
            if len(buffer) < start + size:
                break
            self._packet(bytes(buffer[start : start + size]), now_ns)
            at = start + size
        del buffer[:at]

    def _packet(self, packet: bytes, now_ns: int) -> None:
        stamp = STAMP.match(packet)
        if stamp:
            self.latencies_ns.append(now_ns - int(stamp[1]))
        elif packet.startswith(b'42["said",'):
            self.said.add(int(packet[10:-1]))
        elif packet.startswith(b"43"):
            self._answers.add(int(packet[2 : packet.index(b"[")]))
        elif packet == b"2":
            self._send(b"3")
        else:
            self._others.append(packet)
