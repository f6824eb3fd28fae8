"""A Socket.IO client in memory: it drives the ASGI app of a server over a WebSocket without a port."""

import asyncio
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from zmqio.exceptions import ConnectRefused
from zmqio.protocol.packet import Packet, PacketType
from zmqio.protocol.parser import JsonParser, Parser
from zmqio.server.server import Server

__all__ = ["TestClient"]

PATH = "/socket.io/"
QUERY = b"EIO=4&transport=websocket"
OPEN, CLOSE, PING, PONG, MESSAGE = "01234"
"""Engine.IO packet types. Source: https://socket.io/docs/v4/engine-io-protocol/"""


class TestClient:
    """A client of one namespace, for tests: an async context manager, or with `connect` and `disconnect`.

    Args:
        io: the server; it is started if it does not run.
        namespace: the namespace.
        auth: the payload of the CONNECT packet.
        headers: headers of the first request, for instance a cookie.
        parser: the parser of the server.
        timeout_s: seconds that each operation waits for the server.

    Attributes:
        received: every event so far: its name and the list of its arguments.
        sid: the id of the socket; empty before `connect`.
        connected: whether the client is in the namespace.
    """

    __test__ = False  # pytest: not a class of tests

    def __init__(
        self,
        io: Server,
        *,
        namespace: str = "/",
        auth: Any = None,
        headers: dict[str, str] | None = None,
        parser: Parser | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        self.received: list[tuple[str, list[Any]]] = []
        self.sid = ""
        self.connected = False
        self._app = io.asgi()
        self._namespace = namespace
        self._auth = auth
        self._headers = headers or {}
        self._parser = parser or JsonParser()
        self._timeout_s = timeout_s
        self._decoder = self._parser.decoder()
        self._handlers: dict[str, Callable[..., Any]] = {}
        self._acks: dict[int, asyncio.Future[Any]] = {}
        self._taken = 0
        self._changed = asyncio.Condition()
        self._to_server: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._refusal: ConnectRefused | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def connect(self) -> None:
        """Connect and enter the namespace.

        Raises:
            ConnectRefused: middleware or the connect handler has refused the client.
            TimeoutError: the server did not answer in time.
        """
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._to_server.put_nowait({"type": "websocket.connect"})
        self._send(Packet(PacketType.CONNECT, self._namespace, self._auth))
        await self._wait(lambda: self.connected or self._refusal is not None or self._ended, "the server's answer")
        if not self.connected:
            await self.disconnect()
            raise self._refusal or ConnectRefused("the server has closed the connection")

    async def disconnect(self) -> None:
        """Close the connection and wait until the server has processed that. Does nothing before `connect`.

        Raises:
            TimeoutError: the server's handlers have not ended in time.
        """
        if self._task is not None:
            self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1000})
            async with asyncio.timeout(self._timeout_s):
                await asyncio.gather(self._task, return_exceptions=True)

    def on(self, event: str, function: Callable[..., Any]) -> None:
        """Handle an event by a plain function or coroutine function; its result is the acknowledgement."""
        self._handlers[event] = function

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event."""
        self._send(Packet(PacketType.EVENT, self._namespace, [event, *args]))
        await asyncio.sleep(0)

    async def call(self, event: str, *args: Any) -> Any:
        """Send an event and return the acknowledgement: None, one value, or a list of several.

        Raises:
            TimeoutError: the server has not acknowledged it in time.
        """
        number = len(self._acks)
        self._acks[number] = asyncio.get_running_loop().create_future()
        self._send(Packet(PacketType.EVENT, self._namespace, [event, *args], number))
        try:
            values = await asyncio.wait_for(asyncio.shield(self._acks[number]), self._timeout_s)
        except TimeoutError:
            raise TimeoutError(f"no acknowledgement of {event!r} within {self._timeout_s:g} s") from None
        return values if len(values) > 1 else next(iter(values), None)

    async def receive(self, event: str) -> list[Any]:
        """Return the arguments of the next event of this name that no earlier call has returned; wait for it.

        Events of other names before it are skipped: they stay in `received`.

        Raises:
            TimeoutError: it has not arrived in time. The text names the events that have arrived.
        """
        await self._wait(lambda: self._find(event) is not None, f"the event {event!r}")
        index = self._find(event)
        assert index is not None
        self._taken = index + 1
        return self.received[index][1]

    async def wait_disconnect(self) -> None:
        """Wait until the server has disconnected the client.

        Raises:
            TimeoutError: the client is still connected.
        """
        await self._wait(lambda: not self.connected, "the disconnect")

    @property
    def _ended(self) -> bool:
        return self._task is not None and self._task.done()

    def _find(self, event: str) -> int | None:
        names = [name for name, _ in self.received[self._taken :]]
        return self._taken + names.index(event) if event in names else None

    async def _wait(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(self._timeout_s), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            names = [name for name, _ in self.received]
            raise TimeoutError(f"{what} did not arrive within {self._timeout_s:g} s; received: {names}") from None

    async def _run(self) -> None:
        scope = {
            "type": "websocket",
            "path": PATH,
            "query_string": QUERY,
            "headers": [(name.lower().encode(), value.encode()) for name, value in self._headers.items()],
            "client": ("127.0.0.1", 0),
            "scheme": "ws",
            "extensions": {},
        }
        try:
            await self._app(scope, self._to_server.get, self._from_server)
        finally:
            await self._end()

    async def _from_server(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            text = message.get("text")
            await self._take(text if text is not None else message["bytes"])
        elif message["type"] == "websocket.close":
            self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1005})
            await self._end()

    async def _take(self, data: str | bytes) -> None:
        if isinstance(data, str):
            if data == PING:
                self._to_server.put_nowait({"type": "websocket.receive", "text": PONG})
            if data[:1] != MESSAGE:
                return
            data = data[1:]
        packet = self._decoder.add(data)
        if packet is not None and packet.namespace == self._namespace:
            await self._handle(packet)
            async with self._changed:
                self._changed.notify_all()

    async def _handle(self, packet: Packet) -> None:
        match packet.type:
            case PacketType.CONNECT:
                self.sid, self.connected = packet.data["sid"], True
            case PacketType.CONNECT_ERROR:
                self._refusal = ConnectRefused(packet.data["message"], packet.data.get("data"))
            case PacketType.DISCONNECT:
                self.connected = False
            case PacketType.ACK if packet.id in self._acks and not self._acks[packet.id].done():
                self._acks[packet.id].set_result(packet.data)
            case PacketType.EVENT:
                name, *args = packet.data
                self.received.append((name, args))
                await self._answer(name, args, packet.id)

    async def _answer(self, name: str, args: list[Any], ack_id: int | None) -> None:
        function = self._handlers.get(name)
        result = function(*args) if function is not None else None
        if inspect.isawaitable(result):
            result = await result
        if ack_id is not None and function is not None:
            self._send(Packet(PacketType.ACK, self._namespace, [] if result is None else [result], ack_id))

    async def _end(self) -> None:
        self.connected = False
        async with self._changed:
            self._changed.notify_all()

    def _send(self, packet: Packet) -> None:
        for frame in self._parser.encode(packet):
            kind, data = ("text", MESSAGE + frame) if isinstance(frame, str) else ("bytes", frame)
            self._to_server.put_nowait({"type": "websocket.receive", kind: data})
