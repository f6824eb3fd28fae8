"""The WebSocket protocol for uvicorn: direct writes, memory, and everything else as in uvicorn."""

import asyncio
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.engine_server import run_engine
from tests.support.timing import wait_until
from zmqio.engine.compact_sync import CompactEvent, CompactQueue
from zmqio.engine.direct_write import NO_FD, broadcast_frames
from zmqio.engine.websocket import EXTENSION
from zmqio.engine.websocket_transports import DirectWebSocketTransport
from zmqio.hosting.websocket_protocol import WebSocketProtocol

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_idle_connection_keeps_no_large_objects_of_uvicorn() -> None:
    protocols: list[WebSocketProtocol] = []

    async with run_engine("uvicorn-fast") as host:
        serve = host.engine.handle

        async def handle(scope: Any, receive: Any, send: Any) -> None:
            protocols.append(scope["extensions"][EXTENSION])
            await serve(scope, receive, send)

        host.engine.handle = handle  # type: ignore[method-assign]
        async with connect(host.websocket_url()) as socket:
            await socket.recv()
            (protocol,) = protocols
            assert isinstance(protocol.queue, CompactQueue)
            assert isinstance(protocol.writable, CompactEvent)
            assert protocol.request is None
            assert protocol.response is None


async def test_session_writes_directly_and_compression_is_not_negotiated() -> None:
    async with run_engine("uvicorn-fast") as host, connect(host.websocket_url()) as socket:
        await socket.recv()
        session = host.connections[0].session
        assert isinstance(session.transport, DirectWebSocketTransport)
        assert session.direct_writer.write_frames is not None
        assert socket.response is not None
        assert "sec-websocket-extensions" not in socket.response.headers


def test_broadcasts_bypass_the_transport_on_uvloop_until_the_connection_is_full() -> None:
    async def work() -> None:
        async with run_engine("uvicorn-fast") as host, connect(host.websocket_url(), max_queue=4) as socket:
            await socket.recv()
            session = host.connections[0].session
            sent = 0
            while session.direct_writer.fd != NO_FD and sent < 1000:  # until the connection is full
                broadcast_frames(
                    [session.direct_writer], host.engine.prepare([f"{sent}" + "x" * 65536]), volatile=False
                )
                sent += 1
            assert 1 < sent < 1000
            for _ in range(20):  # nothing may overtake these
                broadcast_frames([session.direct_writer], host.engine.prepare([f"{sent}"]), volatile=False)
                sent += 1
            got = [str(await socket.recv()).rstrip("x") for _ in range(sent)]
            assert got == [f"4{number}" for number in range(sent)]
            await wait_until(lambda: session.direct_writer.fd != NO_FD, "the direct writer to open again")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(work(), 120))


def test_direct_writes_can_be_switched_off() -> None:
    async def work() -> None:
        async with (
            run_engine("uvicorn-fast", direct_writes=False) as host,
            connect(host.websocket_url()) as socket,
        ):
            await socket.recv()
            writer = host.connections[0].session.direct_writer
            assert writer.fd == NO_FD
            assert writer.write_frames is not None  # still without a detour through ASGI
            for number in range(3):
                broadcast_frames([writer], host.engine.prepare([f"{number}"]), volatile=False)
            assert [await socket.recv() for _ in range(3)] == ["40", "41", "42"]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(work(), 120))


def test_websocket_frames_do_not_overtake_an_unread_response() -> None:
    async def work() -> None:
        body, sent = b"B" * 8_000_000, asyncio.Event()
        async with run_engine("uvicorn-fast") as host:
            serve = host.engine.handle

            async def handle(scope: Any, receive: Any, send: Any) -> None:
                if scope["type"] == "websocket":
                    await serve(scope, receive, send)
                    return
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": body})
                sent.set()

            host.engine.handle = handle  # type: ignore[method-assign]
            reader, writer = await asyncio.open_connection("127.0.0.1", host.port, limit=1 << 12)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await sent.wait()
            writer.write(UPGRADE)
            await wait_until(lambda: host.connections, "the WebSocket")
            session = host.connections[0].session
            assert session.direct_writer.fd == NO_FD
            broadcast_frames([session.direct_writer], host.engine.prepare(["overtaking"]), volatile=False)
            got = bytearray()
            while not got.endswith(b"4overtaking"):
                got += (more := await reader.read(1 << 16))
                assert more, got[-200:]
            assert got.index(b"101 Switching") > got.rindex(b"BBBB")
            writer.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(work(), 120))


async def test_refused_client_gets_its_answer_and_uvicorn_logs_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with run_engine("uvicorn-fast") as host:
        with pytest.raises(InvalidStatus) as caught:
            await connect(host.websocket_url("nobody"))
        assert caught.value.response.status_code == 400
        assert caught.value.response.body.startswith(b'{"code":1,"message":"Session ID unknown","reason":')
    assert [record.getMessage() for record in caplog.records if record.name == "uvicorn.error"] == []


async def test_direct_and_queued_messages_stay_in_order() -> None:
    def on_message(connection: Any, data: str | bytes) -> Any:
        return asyncio.sleep(0.001) if int(data) % 7 == 0 else None

    async with run_engine("uvicorn-fast", on_message) as host, connect(host.websocket_url()) as socket:
        await socket.recv()
        for number in range(200):
            await socket.send(f"4{number}")
        connection = host.connections[0]
        await wait_until(lambda: len(connection.messages) == 200, "the messages")
        assert connection.messages == [str(number) for number in range(200)]


@pytest.mark.parametrize("server", ["uvicorn-fast", "uvicorn"])
async def test_large_message_arrives_before_the_close_that_follows_it(server: str) -> None:
    text = "x" * 16_000_000  # more than a socket takes
    async with run_engine(server) as host, connect(host.websocket_url(), max_size=None) as socket:
        await socket.recv()
        host.emit(text)
        host.connections[0].session.close_soon("forced close")
        assert await asyncio.wait_for(socket.recv(), 60) == "4" + text
        await socket.wait_closed()
        assert socket.close_code == 1000
        await wait_until(lambda: host.connections[0].reasons == ["forced close"], "the reason")


async def test_text_frame_with_invalid_utf8_closes_with_1007() -> None:
    async with run_engine("uvicorn-fast") as host, connect(host.websocket_url()) as socket:
        await socket.recv()
        await socket.send(b"4\xff\xfe", text=True)
        await socket.wait_closed()
        assert socket.close_code == 1007
        await wait_until(lambda: host.connections[0].reasons == ["transport close"], "the reason")


async def test_pings_of_the_websocket_protocol_are_answered() -> None:
    async with run_engine("uvicorn-fast") as host, connect(host.websocket_url()) as socket:
        await socket.recv()
        await asyncio.wait_for(await socket.ping(b"x"), 20)


async def test_other_applications_run_as_on_uvicorns_own_protocol() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["extensions"].get(EXTENSION))
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    async with run_engine("uvicorn-fast") as host:
        host.engine.handle = app  # type: ignore[method-assign]
        async with connect(f"ws://127.0.0.1:{host.port}/other") as socket:
            for text in ("a", "b"):
                await socket.send(text)
                assert await socket.recv() == text
    assert isinstance(seen[0], WebSocketProtocol)
