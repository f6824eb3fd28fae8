"""Small Socket.IO clients with hand-written transports, for thousands of connections."""

import base64
import json
from collections import deque
from contextlib import AsyncExitStack
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection

from tests.support.poll_connection import PollConnection, open_connection
from tests.support.websocket_clients import connect

__all__ = ["OPEN", "Member", "PollingMember", "WebSocketMember", "call", "next_event"]

OPEN = "EIO=4&transport=polling"


class Member(Protocol):
    """A client in the namespace `/`."""

    async def send(self, packet: str) -> None:
        """Send one Engine.IO packet."""

    async def next_packet(self) -> str | bytes:
        """The next packet other than a ping; pings are answered."""

    async def close(self) -> None:
        """Disconnect as a client does."""

    async def drop(self) -> None:
        """Drop the connection without notice."""


class WebSocketMember:
    """A client over a WebSocket; created by `open`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    @classmethod
    async def open(cls, port: int, sid: str | None = None) -> "WebSocketMember":
        """Connect, or upgrade the session `sid`."""
        url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket" + (f"&sid={sid}" if sid else "")
        member = cls(await connect(url, compression=None, max_size=None, ping_interval=None))
        for packet, answer in [("2probe", "3probe"), ("5", "")] if sid else [("", "0"), ("40", "40")]:
            if packet:
                await member.send(packet)
            while answer and not str(await member.next_packet()).startswith(answer):
                pass
        return member

    async def send(self, packet: str) -> None:
        await self._socket.send(packet)

    async def next_packet(self) -> str | bytes:
        while (packet := await self._socket.recv()) == "2":
            await self._socket.send("3")
        return packet

    async def close(self) -> None:
        await self._socket.close()

    async def drop(self) -> None:
        self._socket.transport.abort()
        await self._socket.wait_closed()


class PollingMember:
    """A client that polls on one connection and posts on another; created by `open`."""

    def __init__(self, port: int, stack: AsyncExitStack, get: PollConnection, post: PollConnection) -> None:
        self._port = port
        self._stack = stack
        self._get = get
        self._post = post
        self._packets: deque[str | bytes] = deque()
        self.query = OPEN
        self.sid = ""

    @classmethod
    async def open(cls, port: int) -> "PollingMember":
        """Connect."""
        stack = AsyncExitStack()
        get, post = [await stack.enter_async_context(open_connection(port)) for _ in range(2)]
        member = cls(port, stack, get, post)
        await member.next_packet()  # the open packet, which may have a ping behind it
        await member.send("40")
        while not str(await member.next_packet()).startswith("40"):
            pass
        return member

    async def send(self, packet: str) -> None:
        assert (await self._post.exchange(self.query, method="POST", body=packet)).text == "ok"

    async def next_packet(self) -> str | bytes:
        while not self._packets:
            answer = await self._get.exchange(self.query)
            assert answer.status == 200, answer
            for packet in answer.text.split("\x1e"):
                if not self.sid:
                    self.sid = json.loads(packet[1:])["sid"]
                    self.query = f"{OPEN}&sid={self.sid}"
                if packet == "2":
                    await self.send("3")
                elif packet != "6":
                    self._packets.append(base64.b64decode(packet[1:]) if packet[0] == "b" else packet)
        return self._packets.popleft()

    async def upgrade(self) -> WebSocketMember:
        """Upgrade to a WebSocket; no request may be open."""
        moved = await WebSocketMember.open(self._port, self.sid)
        await self._stack.aclose()
        return moved

    def begin_poll(self) -> None:
        """Poll without reading the answer."""
        self._get.request(self.query)

    async def close(self) -> None:
        await self.send("1")
        await self._stack.aclose()

    async def drop(self) -> None:
        await self._stack.aclose()


async def next_event(member: Member) -> list[Any]:
    """The next event, as name and arguments; other packets are skipped."""
    while not str(packet := await member.next_packet()).startswith("42"):
        pass
    event: list[Any] = json.loads(str(packet)[2:])
    return event


async def call(member: Member, *event: Any) -> None:
    """Emit an event and wait until it is acknowledged; events received in the meantime are dropped."""
    await member.send("420" + json.dumps(event))
    while not str(await member.next_packet()).startswith("430"):
        pass
