"""A client of the server tests that can be recovered.

It obeys the rules of the JavaScript client (4.6 and later): it takes the last string argument of every event
without an acknowledgement as its offset, and sends it with its `pid`.
"""

import json
from typing import Any

from tests.support.fake_engine import FakeSession, Harness
from zmqio.server.client import Client

__all__ = ["Reader"]


class Reader:
    """A client, and what it has received."""

    def __init__(self, harness: Harness, name: str = "/", auth: dict[str, Any] | None = None) -> None:
        self.events: list[list[Any]] = []
        self.sid = self.pid = ""
        self.recovered = False
        self.refused: Any = None
        harness.of(name)
        self._harness = harness
        self._name = name
        self._auth = auth or {}
        self.offset: str | None = None
        self._read = 0
        self._client: Client
        self.session: FakeSession

    async def connect(self, read: int = 1 << 30, to: Harness | None = None) -> None:
        """Connect, perhaps to another node, and read at most `read` packets."""
        self._harness = to or self._harness
        claim = {"pid": self.pid} if self.pid else {}
        if self.pid and self.offset is not None:
            claim["offset"] = self.offset
        head = "" if self._name == "/" else f"{self._name},"
        self._client, self.session = self._harness.client()
        self._read = 0
        self._client.message(f"0{head}{json.dumps({**claim, **self._auth})}")
        await self._harness.settle()
        self.read(read)

    def read(self, most: int = 1 << 30) -> None:
        """Read at most that many packets that have arrived."""
        packets = self.session.sent[self._read : self._read + most]
        self._read += len(packets)
        for packet in packets:
            self._take(str(packet))

    async def lose(self, reason: str = "transport close") -> None:
        """Lose the connection, with the packets that were not read."""
        self._client.closed(reason)
        await self._harness.settle()

    def send(self, packet: str) -> None:
        """Send a packet."""
        self._client.message(packet)

    @property
    def closed_with(self) -> str | None:
        """Why the server closed the connection."""
        return self.session.closed_with

    def _take(self, packet: str) -> None:
        kind, text = packet[0], packet[1:].removeprefix("" if self._name == "/" else f"{self._name},")
        if kind == "0":
            answer = json.loads(text)
            self.recovered = bool(self.pid) and self.pid == answer["pid"]
            self.sid, self.pid = answer["sid"], answer["pid"]
        elif kind == "2" and text[0] == "[":
            event = json.loads(text)
            self.offset = event.pop()
            assert isinstance(self.offset, str)
            self.events.append(event)
        elif kind == "2":
            self.events.append(json.loads(text.lstrip("0123456789")))
        elif kind == "4":
            self.refused = json.loads(text)
