"""A TCP relay in a separate process, cheap enough for the whole load, with faults on command.

`python -m tests.bench.soak.relay BROKER_PORT RELAY_PORT`: four ports that lead to the four of a broker. Commands
are lines on standard input, each answered with `ok`:

command    from now on
cut        every connection is reset, and new ones too
stall      nothing is read, written, accepted or closed: no FIN
delay S    every chunk is S seconds late, in both directions
go         everything passes again; what waited in a stall follows
"""

import selectors
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field

__all__ = ["Relay"]

HOST = "127.0.0.1"
PORTS = 4
CHUNK_BYTES = 1 << 18
TICK_S = 0.001
"""Pause between two rounds. Data accumulates in it, which makes the relay cheap and adds this delay."""

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
QUEUE_BYTES = 64 << 20
"""Most bytes queued in one direction of a connection. Beyond that, the source is not read, as on a real line."""


@dataclass(eq=False, slots=True)
class Side:
    """One direction: data read from `source` is written to `sink`."""

    source: socket.socket
    sink: socket.socket
    waiting: "deque[tuple[float, bytes]]" = field(default_factory=deque)
    bytes_waiting: int = 0
    ended: bool = False


class Relay:
    """Forwards data until standard input ends.

    Args:
        broker_port: base port of the broker.
        port: base port of the relay.
    """

    def __init__(self, broker_port: int, port: int) -> None:
        self._broker_port = broker_port
        self._selector = selectors.DefaultSelector()
        self._listeners = {socket.create_server((HOST, port + offset)): offset for offset in range(PORTS)}
        for listener in self._listeners:
            listener.setblocking(False)
        self._sides: list[Side] = []
        self._mode = "go"
        self._delay_s = 0.0

    def run(self) -> None:
        """Forward data and run commands."""
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            if self._selector.select(0):
                line = sys.stdin.readline()
                if not line:
                    return
                self._obey(line.split())
                print("ok", flush=True)
            if self._mode != "stall":
                self._accept()
                self._carry()
            time.sleep(TICK_S)

    def _obey(self, words: list[str]) -> None:
        self._mode = words[0]
        self._delay_s = float(words[1]) if words[0] == "delay" else 0.0
        if self._mode == "cut":
            for side in self._sides:
                _reset(side.source)
            self._sides.clear()

    def _accept(self) -> None:
        for listener, offset in self._listeners.items():
            try:
                near, _ = listener.accept()
            except BlockingIOError:
                continue
            if self._mode == "cut":
                _reset(near)
                continue
            try:
                far = socket.create_connection((HOST, self._broker_port + offset), 1)
            except OSError:
                _reset(near)
                continue
            for end in (near, far):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sides += [Side(near, far), Side(far, near)]

    def _carry(self) -> None:
        now_s = time.monotonic()
        for side in self._sides:
            try:
                self._read(side, now_s)
                self._write(side, now_s)
            except OSError:
                side.ended = True
                side.waiting.clear()
        over = {end for side in self._sides if side.ended and not side.waiting for end in (side.source, side.sink)}
        if over:
            self._sides = [side for side in self._sides if side.source not in over]
            for end in over:
                end.close()

    def _read(self, side: Side, now_s: float) -> None:
        if side.ended or side.bytes_waiting >= QUEUE_BYTES:
            return
        try:
            chunk = side.source.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        if chunk:
            side.waiting.append((now_s + self._delay_s, chunk))
            side.bytes_waiting += len(chunk)
        else:
            side.ended = True

    def _write(self, side: Side, now_s: float) -> None:
        while side.waiting and side.waiting[0][0] <= now_s:
            due_s, chunk = side.waiting[0]
            try:
                sent = side.sink.send(chunk)
            except BlockingIOError:
                return
            side.bytes_waiting -= sent
            if sent < len(chunk):
                side.waiting[0] = (due_s, chunk[sent:])
                return
            side.waiting.popleft()


def _reset(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    end.close()


def main() -> None:
    """Forward data until the harness closes standard input."""
    Relay(int(sys.argv[1]), int(sys.argv[2])).run()


if __name__ == "__main__":
    main()
