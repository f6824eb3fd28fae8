"""Fuzz targets for the protocol classes of uvicorn: bytes of one connection, without a socket."""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from tests.fuzz.drive import FuzzTarget
from tests.fuzz.mutate import Parts
from tests.fuzz.pure_targets import chunks, whole
from zmqio.uvicorn import HttpProtocol, WebSocketProtocol

__all__ = ["server_targets"]

TURNS = 6
"""Turns of the event loop in which an application answers at least one request: it takes three."""
UPGRADE = (
    b"GET /?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MASK = b"\0\0\0\0"


class FakeTransport(asyncio.Transport):
    """A connection whose peer reads everything at once."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol: Any = protocol
        self.sent = bytearray()
        self.closing = False
        self.ended = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing or not data, "data written after close"
        self.sent += data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self.protocol
        return protocol

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Host:
    """One event loop and the application on it, which notes what it receives."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.faults: list[str] = []
        self.seen: list[Any] = []
        self.loop.set_exception_handler(lambda loop, context: self.faults.append(repr(context)))
        self.config = Config(
            self.app,
            http=HttpProtocol,
            ws=WebSocketProtocol,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
        )
        self.config.load()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self.serve_websocket(receive, send)
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.seen.append((scope["method"], scope["path"], scope["query_string"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def serve_websocket(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return
            self.seen.append(message.get("text") if message.get("text") is not None else message.get("bytes"))

    def serve(self, pieces: Sequence[bytes]) -> tuple[list[Any], bool]:
        """Serve one connection; return what the application saw, and whether the server closed or rejected it."""
        self.seen, self.faults = [], []
        return self.loop.run_until_complete(self._serve(pieces))

    async def _serve(self, pieces: Sequence[bytes]) -> tuple[list[Any], bool]:
        state = ServerState()
        protocol = HttpProtocol(config=self.config, server_state=state, app_state={}, _loop=self.loop)
        transport = FakeTransport(protocol)
        protocol.connection_made(transport)
        for piece in pieces:
            if transport.closing:
                break
            transport.protocol.data_received(piece)
            await self.turns()
        closed = transport.closing or transport.ended or b"HTTP/1.1 4" in transport.sent
        assert not transport.sent or transport.sent.startswith(b"HTTP/1.")
        transport.protocol.connection_lost(None)
        transport.closing = True
        await self.turns()
        assert not state.tasks, "a task is left"
        assert not state.connections, "a connection is left"
        assert not self.faults, self.faults
        return self.seen, closed

    async def turns(self) -> None:
        """Run the event loop until the application receives nothing more."""
        count = -1
        while count != len(self.seen):
            count = len(self.seen)
            for _ in range(TURNS):
                await asyncio.sleep(0)


def run_connection(host: Host, parts: Parts, opening: bytes) -> bool:
    data, openings = whole(parts), [opening] if opening else []  # no client sends frames before the answer
    rng = random.Random(len(data))
    seen, closed = host.serve([*openings, data])
    seen_in_chunks, closed_in_chunks = host.serve([*openings, *(piece for piece in chunks(data, rng) if piece)])
    if not closed and not closed_in_chunks:
        assert seen == seen_in_chunks, f"{seen!r:.500} became {seen_in_chunks!r:.500} in pieces"
    return not closed and bool(seen)


def client_frame(first: int, data: bytes) -> bytes:
    """A masked frame, with a mask of zeros, of at most 125 bytes."""
    return bytes((first, 0x80 | len(data))) + MASK + data


REQUESTS: list[Parts] = [
    [b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"],
    [b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"],
    [b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
    [b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /b HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"],
    [b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na"],
]
FRAMES: list[Parts] = [
    [client_frame(0x81, b"4hello")],
    [client_frame(0x01, b"4he"), client_frame(0x89, b"x"), client_frame(0x80, b"llo")],
    [client_frame(0x82, b"\x01\x02\xff"), client_frame(0x8A, b"")],
    [client_frame(0x81, b"2"), b"\x81\xfe\x00\x80" + MASK + b"4" * 128],
]


def server_targets() -> dict[str, FuzzTarget]:
    """Make the targets, which share one event loop."""
    host = Host()
    return {
        "http_connection": FuzzTarget(REQUESTS, lambda parts: run_connection(host, parts, b"")),
        "websocket_connection": FuzzTarget(FRAMES, lambda parts: run_connection(host, parts, UPGRADE)),
    }
