"""The transports of a WebSocket session, with a fake wire and a fake `send`."""

import asyncio
from typing import Any

from tests.support.engine import EngineUnderTest
from tests.support.timing import wait_until
from zmqio.engine.websocket import EXTENSION
from zmqio.engine.websocket_transports import close_websocket


class FakeWire:
    """A `DirectWire` that records writes and pauses on demand."""

    fd = -1

    def __init__(self, *, usable: bool = True) -> None:
        self.written: list[bytes] = []
        self.sink: Any = None
        self.compresses = False
        self.listener: Any = None
        self.aborted = False
        self.abort_in_s: float | None = None
        self.pauses_after: int | None = None
        self._usable = usable

    def limit_messages(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes

    def negotiate_compression(self) -> None:
        self.compresses = True

    def open(self, listener: Any, *, direct_writes: bool) -> Any:
        self.listener = listener
        self.direct_writes = direct_writes
        return self.write if self._usable else None

    def listen(self, sink: Any) -> None:
        self.sink = sink

    def abort(self) -> None:
        self.aborted = True

    def abort_in(self, delay_s: float) -> None:
        self.abort_in_s = delay_s

    def write(self, frames: bytes) -> None:
        self.written.append(frames)
        if self.pauses_after is not None and len(self.written) >= self.pauses_after:
            self.pauses_after = None
            self.listener.paused()


async def _open(host: EngineUnderTest, wire: FakeWire) -> tuple[Any, Any]:
    socket = host.websocket(extensions={EXTENSION: wire, "websocket.http.response": {}})
    await wait_until(lambda: wire.written or socket.sent, "the open packet")
    wire.written.clear()
    return socket, host.connections[-1]


async def test_frames_are_written_as_they_were_encoded_once_for_all() -> None:
    async with EngineUnderTest() as host:
        wires = [FakeWire(), FakeWire()]
        prepared = host.engine.prepare(["hello", b"\x01"])
        for wire in wires:
            _, connection = await _open(host, wire)
            connection.session.write(prepared)
        assert wires[0].written == [b"\x81\x064hello\x82\x01\x01"]
        assert wires[1].written[0] is wires[0].written[0]


async def test_paused_wire_gets_nothing_and_everything_in_order_when_it_resumes() -> None:
    async with EngineUnderTest() as host:
        wire = FakeWire()
        _, connection = await _open(host, wire)
        wire.pauses_after = 2
        for text in "abcd":
            host.emit(text)
        host.emit("lost", volatile=True)
        assert wire.written == [b"\x81\x024a", b"\x81\x024b"]
        assert connection.session.buffered_bytes == 4
        wire.listener.resumed()
        host.emit("e")
        assert wire.written[2:] == [b"\x81\x024c", b"\x81\x024d", b"\x81\x024e"]
        assert connection.session.buffered_bytes == 0


async def test_wire_that_pauses_again_while_it_resumes_keeps_the_order() -> None:
    async with EngineUnderTest() as host:
        wire = FakeWire()
        _, connection = await _open(host, wire)
        wire.listener.paused()
        for text in "abc":
            host.emit(text)
        wire.pauses_after = 1
        wire.listener.resumed()
        host.emit("d")
        assert wire.written == [b"\x81\x024a"]
        wire.listener.resumed()
        assert [frame[-1:] for frame in wire.written] == [b"a", b"b", b"c", b"d"]
        assert connection.session.buffered_bytes == 0


async def test_wire_over_the_bound_is_aborted() -> None:
    async with EngineUnderTest(session_buffer_bytes=10, slow_client_grace_s=0) as host:
        wire = FakeWire()
        socket, connection = await _open(host, wire)
        wire.listener.paused()
        for _ in range(10):
            host.emit("xx")
        assert wire.aborted
        await wait_until(lambda: connection.reasons == ["slow client"], "the reason")
        socket.close()  # what the server says then
        await socket.ended()


async def test_ended_session_closes_its_websocket_and_bounds_the_wait_for_the_client() -> None:
    async with EngineUnderTest() as host:
        wire = FakeWire()
        socket, connection = await _open(host, wire)
        host.emit("last")
        connection.session.close_soon("forced close")
        host.emit("too late")
        await socket.ended()
        assert wire.written == [b"\x81\x054last"]
        assert (socket.close_code, wire.aborted) == (1000, False)
        assert wire.abort_in_s is not None


async def test_session_that_is_closing_ends_when_a_paused_wire_has_taken_everything() -> None:
    async with EngineUnderTest() as host:
        wire = FakeWire()
        socket, connection = await _open(host, wire)
        wire.listener.paused()
        host.emit("last")
        connection.session.close_soon("forced close")
        assert connection.session.closed is False
        wire.listener.resumed()
        await socket.ended()
        assert wire.written == [b"\x81\x054last"]
        assert connection.reasons == ["forced close"]


async def test_session_that_is_closing_waits_for_a_wire_that_paused_with_its_last_frame() -> None:
    async with EngineUnderTest() as host:
        wire = FakeWire()
        socket, connection = await _open(host, wire)
        wire.pauses_after = 1
        host.emit("last")
        connection.session.close_soon("forced close")
        assert (connection.session.closed, wire.aborted) == (False, False)
        wire.listener.resumed()
        await socket.ended()
        assert (socket.close_code, wire.aborted) == (1000, False)
        assert connection.reasons == ["forced close"]


async def test_session_that_ends_closes_a_wire_that_still_has_something_to_send_behind_it() -> None:
    async with EngineUnderTest() as host:
        wire = FakeWire()
        socket, connection = await _open(host, wire)
        wire.pauses_after = 1
        host.emit("waits in the connection")
        connection.session.end("transport error", code=1009)
        await socket.ended()
        assert (socket.close_code, wire.aborted) == (1009, False)
        assert wire.abort_in_s is not None


async def test_session_that_is_closing_ends_when_its_wire_is_lost() -> None:
    async with EngineUnderTest() as host:
        wire = FakeWire()
        socket, connection = await _open(host, wire)
        wire.pauses_after = 1
        host.emit("last")
        connection.session.close_soon("forced close")
        wire.listener.lost()
        await wait_until(lambda: connection.reasons == ["forced close"], "the reason")
        assert not wire.aborted  # a lost wire is closing within a time limit of its own
        socket.close()
        await socket.ended()


async def test_session_that_is_closing_owes_no_answer_to_a_ping() -> None:
    async with EngineUnderTest(ping_interval_s=0.1, ping_timeout_s=0.1) as host:
        wire, later = FakeWire(), FakeWire()
        socket, connection = await _open(host, wire)
        wire.pauses_after = 1
        host.emit("last")
        connection.session.close_soon("forced close")
        silent_socket, silent = await _open(host, later)
        await wait_until(lambda: silent.reasons == ["ping timeout"], "a later session to be found silent")
        assert connection.session.closed is False
        wire.listener.resumed()
        await socket.ended()
        assert connection.reasons == ["forced close"]
        silent_socket.close()
        await silent_socket.ended()


async def test_lost_wire_gets_nothing() -> None:
    async with EngineUnderTest() as host:
        wire = FakeWire()
        socket, connection = await _open(host, wire)
        wire.listener.lost()
        host.emit("a")
        host.emit("b", volatile=True)
        assert wire.written == []
        assert connection.session.buffered
        socket.close()
        await socket.ended()


async def test_closing_engine_lets_a_paused_wire_send_its_buffer(monkeypatch: Any) -> None:
    async with EngineUnderTest() as host:
        wire = FakeWire()
        socket, connection = await _open(host, wire)
        wire.pauses_after = 1
        host.emit("first")
        host.emit("last")
        closing = asyncio.ensure_future(host.engine.close())
        await asyncio.sleep(0)
        assert connection.session.closed is False
        wire.listener.resumed()
        await socket.ended()
        await closing
        assert [frame[2:] for frame in wire.written] == [b"4first", b"4last"]
        assert (socket.close_code, wire.aborted) == (1000, False)


async def test_engine_that_closes_waits_for_a_paused_wire_within_its_limit(monkeypatch: Any) -> None:
    monkeypatch.setattr("zmqio.engine.server.CLOSE_WAIT_S", 0.05)
    async with EngineUnderTest() as host:
        wire = FakeWire()
        socket, connection = await _open(host, wire)
        wire.pauses_after = 1
        host.emit("never read")
        closing = asyncio.ensure_future(host.engine.close())
        await wait_until(lambda: wire.aborted, "the connection to be dropped")
        socket.close()  # what the server says then
        await closing
        await socket.ended()
        assert connection.reasons == ["server shutting down"]


async def test_messages_come_straight_from_the_wire() -> None:
    async with EngineUnderTest() as host:
        wire = FakeWire()
        _, connection = await _open(host, wire)
        assert wire.sink("4hello") is None
        assert wire.sink(b"\x01") is None
        assert connection.messages == ["hello", b"\x01"]


async def test_wire_that_cannot_is_served_on_the_plain_path() -> None:
    async with EngineUnderTest() as host:
        wire = FakeWire(usable=False)
        socket, connection = await _open(host, wire)
        host.emit("a", b"\x01")
        socket.send("4b")
        assert [await socket.receive() for _ in range(3)][1:] == ["4a", b"\x01"]
        await wait_until(lambda: connection.messages == ["b"], "the message")
        assert wire.written == []


async def test_plain_path_sends_in_order_while_the_server_is_slow() -> None:
    async with EngineUnderTest() as host:
        socket, connection = await host.open_websocket()
        for number in range(50):
            if number % 7 == 0:
                socket.can_send.clear()
            host.emit(str(number))
            if number % 5 == 0:
                socket.can_send.set()
                await asyncio.sleep(0)
        socket.can_send.set()
        assert [await socket.receive() for _ in range(50)] == [f"4{number}" for number in range(50)]
        assert connection.session.buffered_bytes == 0


async def test_plain_path_sends_the_last_packet_before_it_closes() -> None:
    async with EngineUnderTest() as host:
        socket, connection = await host.open_websocket()
        socket.can_send.clear()
        host.emit("last")
        connection.session.close_soon("forced close")
        assert connection.session.closed is False
        socket.can_send.set()
        assert await socket.receive() == "4last"
        await socket.ended()
        assert connection.reasons == ["forced close"]


async def test_send_that_fails_ends_the_session() -> None:
    for error, reason in (
        (OSError("gone"), "transport close"),
        (RuntimeError("bad state"), "transport error"),
        (KeyError("a server's own fault"), "transport error"),
    ):
        async with EngineUnderTest() as host:
            socket, connection = await host.open_websocket()
            socket.fails_with = error
            host.emit("a")
            await wait_until(lambda connection=connection: connection.reasons, "the reason")  # type: ignore[misc]
            assert connection.reasons == [reason]
            socket.close()
            await socket.ended()


async def test_close_gives_up_on_a_connection_that_takes_nothing(monkeypatch: Any) -> None:
    monkeypatch.setattr("zmqio.engine.websocket_transports.CLOSE_HANDSHAKE_S", 0.01)

    async def send(_: Any) -> None:
        await asyncio.Event().wait()

    await close_websocket(send, 1000)
