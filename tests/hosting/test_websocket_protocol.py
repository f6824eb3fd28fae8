"""The WebSocket protocol for uvicorn: direct writes, memory, and everything else as in uvicorn."""

import asyncio
import logging
import zlib
from itertools import pairwise
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.engine_server import run_engine
from tests.support.timing import wait_until
from tests.support.websocket_frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    FrameClient,
    frame,
    frame_client,
)
from zmqio.engine.compact_sync import CompactEvent, CompactQueue
from zmqio.engine.direct_write import NO_FD, broadcast_frames
from zmqio.engine.websocket import EXTENSION
from zmqio.engine.websocket_transports import DirectWebSocketTransport
from zmqio.hosting.websocket_input import COMPRESSED_SLICE_BYTES, MAX_FRAGMENTS
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


OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
RSV1 = 0x40
LARGE = "0123456789" * 1_000


async def test_large_packets_are_compressed_both_ways_without_memory_of_earlier_ones() -> None:
    async with (
        run_engine("uvicorn-fast", websocket_compression=True) as host,
        frame_client(host.port, headers=OFFER) as client,
    ):
        (answer,) = (line for line in client.head.splitlines() if line.lower().startswith("sec-websocket-ext"))
        assert answer.partition(": ")[2] == (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        )
        assert (await client.receive_raw())[0] == 0x80 | TEXT  # the open packet, which is small
        session = host.connections[0].session
        for message in ("small", LARGE, LARGE.encode()):
            session.write(host.engine.prepare([message]))
        broadcast_frames([session.direct_writer], host.engine.prepare([LARGE]), volatile=False)
        frames = [await client.receive_raw() for _ in range(4)]
        assert [first for first, _ in frames] == [
            0x80 | TEXT,
            0x80 | TEXT | RSV1,
            0x80 | BINARY | RSV1,
            0x80 | TEXT | RSV1,
        ]
        assert frames[1][1] == frames[3][1]
        assert len(frames[1][1]) < 100
        for _ in range(2):
            client.writer.write(frame(TEXT, frames[1][1], rsv=RSV1) + frame(TEXT, b"4plain"))
        await wait_until(lambda: len(host.connections[0].messages) == 4, "the messages")
        assert host.connections[0].messages == [LARGE, "plain"] * 2


@pytest.mark.parametrize(
    "offer",
    ["", "x-webkit-deflate-frame", "permessage-deflate; server_max_window_bits=10", "permessage-deflate; ,="],
)
async def test_other_offers_are_not_accepted(offer: str) -> None:
    headers = f"Sec-WebSocket-Extensions: {offer}\r\n" if offer else ""
    async with (
        run_engine("uvicorn-fast", websocket_compression=True) as host,
        frame_client(host.port, headers=headers) as client,
    ):
        assert "sec-websocket-extensions" not in client.head.lower()
        await client.receive()
        host.connections[0].session.write(host.engine.prepare([LARGE]))
        assert await client.receive_raw() == (0x80 | TEXT, b"4" + LARGE.encode())


async def test_message_that_grows_beyond_the_limit_and_invalid_data_end_the_session() -> None:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = (deflater.compress(b"4" + bytes(2_000_000)) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
    async with run_engine("uvicorn-fast", websocket_compression=True) as host:
        for data, code in ((bomb, 1009), (b"not deflated", 1002)):
            async with frame_client(host.port, headers=OFFER) as client:
                await client.receive()
                client.writer.write(frame(TEXT, data, rsv=RSV1))
                assert await client.close_code() == code
        await wait_until(lambda: all(each.closed for each in host.connections), "the sessions to end")


async def test_frames_that_grow_are_parsed_in_smaller_slices() -> None:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    grows = (deflater.compress(b"4" + bytes(500_000)) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
    turns: list[int] = []
    async with (
        run_engine("uvicorn-fast", websocket_compression=True) as host,
        frame_client(host.port, headers=OFFER) as client,
    ):
        await client.receive()
        messages = host.connections[0].messages
        client.writer.write(frame(TEXT, grows, rsv=RSV1) * 6)
        while len(messages) < 6:
            await asyncio.sleep(0)
            turns.append(len(messages))
    steps = [later - earlier for earlier, later in pairwise([0, *turns])]
    assert max(steps) <= COMPRESSED_SLICE_BYTES // len(grows) + 2


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
        await wait_until(lambda: host.connections[0].reasons == ["transport error"], "the reason")
        assert host.engine.counters["packets_malformed"] == 1


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


LIMIT = 1000
OVER_LIMIT = {
    "a large frame": frame(TEXT, b"4", size=LIMIT + 1),
    "a frame of 2 GB": frame(BINARY, b"4", size=2 << 30),
    "fragments": frame(TEXT, b"4" * 600, fin=False) + frame(CONT, b"4", size=401, fin=False),
    "empty fragments": frame(BINARY, b"", fin=False) + frame(CONT, b"", fin=False) * MAX_FRAGMENTS,
}


@pytest.mark.parametrize("frames", OVER_LIMIT.values(), ids=list(OVER_LIMIT))
async def test_message_over_the_limit_is_refused_at_its_header_with_1009(frames: bytes) -> None:
    async with run_engine("uvicorn-fast", max_payload_bytes=LIMIT) as host, frame_client(host.port) as client:
        await client.receive()
        client.writer.write(frames)
        assert await client.close_code() == 1009
        await client.ended()
        (connection,) = host.connections
        await wait_until(lambda: connection.reasons == ["transport error"], "the reason")
        assert connection.messages == []
        assert host.engine.counters["packets_rejected"] == 1


async def test_message_of_the_limit_arrives_whole_and_in_fragments() -> None:
    async with run_engine("uvicorn-fast", max_payload_bytes=LIMIT) as host, frame_client(host.port) as client:
        await client.receive()
        text = "4" + "ü" * 499 + "x"
        client.writer.write(frame(TEXT, text.encode()))
        raw = text.encode()
        client.writer.write(frame(TEXT, raw[:100], fin=False) + frame(PING) + frame(CONT, raw[100:500], fin=False))
        client.writer.write(frame(CONT, fin=False) + frame(CONT, raw[500:]) + frame(TEXT, b"4behind"))
        (connection,) = host.connections
        await wait_until(lambda: len(connection.messages) == 3, "the messages")
        assert connection.messages == [text[1:], text[1:], "behind"]


async def test_client_that_continues_to_send_receives_the_close_frame() -> None:
    async with run_engine("uvicorn-fast", max_payload_bytes=LIMIT) as host, frame_client(host.port) as client:
        await client.receive()
        client.writer.write(frame(BINARY, b"x" * 1_000_000) * 8)
        assert await client.close_code() == 1009


async def test_probe_over_the_limit_is_refused_with_1009() -> None:
    async with run_engine("uvicorn-fast", max_payload_bytes=LIMIT) as host:
        session = await poll_session(host)
        path = f"/socket.io/?EIO=4&transport=websocket&sid={session}"
        async with frame_client(host.port, path) as client:
            client.writer.write(frame(TEXT, b"2", size=LIMIT + 1))
            assert await client.close_code() == 1009
        await wait_until(lambda: host.engine.counters["packets_rejected"] == 1, "the count")
        assert host.connections[0].reasons == []


INVALID = {
    "an unmasked frame": (b"\x81\x014", 1002),
    "a reserved bit": (frame(TEXT, b"4", rsv=0x40), 1002),
    "a reserved opcode": (frame(3, b"4"), 1002),
    "a continuation of nothing": (frame(CONT, b"4"), 1002),
    "a fragmented ping": (frame(PING, b"4", fin=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"4" * 126), 1002),
    "text that is not UTF-8": (frame(TEXT, b"4\xff"), 1007),
    "fragments that are not UTF-8": (frame(TEXT, b"4\xc3", fin=False) + frame(CONT, b"4"), 1007),
    "a close code that may not be sent": (frame(CLOSE, b"\x03\xed"), 1002),
    "a close reason that is not UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
}


@pytest.mark.parametrize(("frames", "code"), INVALID.values(), ids=list(INVALID))
async def test_invalid_frames_close_with_their_code_and_log_no_traceback(
    frames: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_engine("uvicorn-fast") as host, frame_client(host.port) as client:
        await client.receive()
        client.writer.write(frames)
        assert await client.close_code() == code
        await client.ended()
        await wait_until(lambda: host.connections[0].reasons == ["transport error"], "the reason")
        assert host.engine.counters["packets_malformed"] == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_pongs_wait_while_the_client_does_not_read_and_are_merged() -> None:
    async def work() -> None:
        async with run_engine("uvicorn-fast") as host, frame_client(host.port) as client:
            await client.receive()
            session = host.connections[0].session
            wire = session.transport._wire
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            while session.direct_writer.fd != NO_FD:
                host.emit(b"x" * 65536)
            waiting = wire.transport.get_write_buffer_size()
            for number in range(20_000):
                client.writer.write(frame(PING, b"%05d" % number))
            await wait_until(lambda: not wire.transport.is_reading(), "the server to stop reading")
            assert wire.transport.get_write_buffer_size() <= waiting
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            pongs = await pongs_until(client, b"19999")
            assert len(pongs) < 2_000
            client.writer.write(frame(TEXT, b"4behind"))
            await wait_until(lambda: host.connections[0].messages == ["behind"], "the message")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(work(), 120))


async def test_pings_in_one_piece_get_pongs_and_messages_between_them_arrive() -> None:
    async with run_engine("uvicorn-fast") as host, frame_client(host.port) as client:
        await client.receive()
        client.writer.write(frame(PING) * 5_000 + frame(TEXT, b"4a") + frame(PING) * 5_000 + frame(PING, b"last"))
        pongs = await pongs_until(client, b"last")
        assert len(pongs) < 1_000
        assert host.connections[0].messages == ["a"]


async def test_pings_before_a_close_frame_do_not_delay_its_answer() -> None:
    async with run_engine("uvicorn-fast") as host, frame_client(host.port) as client:
        await client.receive()
        client.writer.write(frame(PING, b"a") + frame(PING, b"b") + frame(CLOSE, b"\x03\xe8bye"))
        assert await client.receive() == (PONG, b"b")
        assert await client.receive() == (CLOSE, b"\x03\xe8bye")
        await client.ended()
        await wait_until(lambda: host.connections[0].reasons == ["transport close"], "the reason")


async def test_many_messages_in_one_piece_stay_in_order_while_some_are_handled_slowly() -> None:
    def on_message(connection: Any, data: str | bytes) -> Any:
        return asyncio.sleep(0) if int(data) % 97 == 0 else None

    async with run_engine("uvicorn-fast", on_message) as host, frame_client(host.port) as client:
        await client.receive()
        client.writer.write(b"".join(frame(TEXT, b"4%d" % number) for number in range(20_000)))
        (connection,) = host.connections
        await wait_until(lambda: len(connection.messages) == 20_000, "the messages")
        assert connection.messages == [str(number) for number in range(20_000)]


async def test_messages_arrive_in_order_whether_the_parser_reads_them_or_not() -> None:
    async with run_engine("uvicorn-fast") as host, frame_client(host.port) as client:
        await client.receive()
        split = frame(TEXT, b"4split")
        pieces = [
            *(frame(TEXT, b"4%d" % number) for number in range(4)),
            *(split[:1], split[1:7], split[7:]),
            frame(TEXT, b"4" + b"x" * 1_000),
            frame(TEXT, b"4a") + frame(TEXT, b"4b"),
            frame(TEXT, b"4c") + split[:3],
            split[3:],
            frame(TEXT, b"4frag", fin=False),
            frame(PING, b"p"),
            frame(CONT, b"ment"),
            frame(TEXT, "4é".encode()),
            frame(BINARY, b"binary"),
            frame(TEXT, b"4end"),
        ]
        for piece in pieces:
            client.writer.write(piece)
            await client.writer.drain()
            await asyncio.sleep(0.002)
        (connection,) = host.connections
        await wait_until(lambda: connection.messages[-1:] == ["end"], "the messages")
        assert connection.messages == [
            *("0", "1", "2", "3", "split", "x" * 1_000, "a", "b", "c", "split", "fragment", "é", b"binary", "end")
        ]


async def test_whole_message_between_fragments_closes_with_1002() -> None:
    async with run_engine("uvicorn-fast") as host, frame_client(host.port) as client:
        await client.receive()
        for piece in (frame(TEXT, b"4a"), frame(TEXT, b"4b", fin=False), frame(TEXT, b"4c")):
            client.writer.write(piece)
            await client.writer.drain()
            await asyncio.sleep(0.002)
        assert await client.close_code() == 1002
        await client.ended()
        assert host.connections[0].messages == ["a"]


@pytest.mark.parametrize(("payload", "code"), [(b"4\xff", 1007), (b"4" + b"x" * 1_000, 1009)])
async def test_later_message_is_checked_like_the_first(payload: bytes, code: int) -> None:
    async with run_engine("uvicorn-fast", max_payload_bytes=1_000) as host, frame_client(host.port) as client:
        await client.receive()
        for number in range(3):
            client.writer.write(frame(TEXT, b"4%d" % number))
            await client.writer.drain()
            (connection,) = host.connections
            await wait_until(lambda: len(connection.messages) == number + 1, "the message")  # noqa: B023
        client.writer.write(frame(TEXT, payload))
        assert await client.close_code() == code
        await client.ended()
        assert connection.messages == ["0", "1", "2"]


async def test_frames_before_the_acceptance_are_handled_behind_it() -> None:
    opened, accepting = asyncio.Event(), asyncio.Event()
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        opened.set()
        await accepting.wait()
        await send({"type": "websocket.accept"})
        seen.append(await receive())

    async with run_engine("uvicorn-fast") as host:
        host.engine.handle = app  # type: ignore[method-assign]
        reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
        writer.write(UPGRADE)
        await opened.wait()
        writer.write(frame(PING, b"early") + frame(TEXT, b"early"))
        asyncio.get_running_loop().call_later(0.05, accepting.set)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        assert await FrameClient(reader, writer).receive() == (PONG, b"early")
        await wait_until(lambda: seen, "the message")
        writer.close()
    assert seen == [{"type": "websocket.receive", "text": "early"}]


async def test_frames_in_the_same_segment_as_the_opening_request_arrive() -> None:
    behind = frame(PING, b"early") + frame(TEXT, b"4early")
    async with run_engine("uvicorn-fast") as host, frame_client(host.port, behind=behind) as client:
        frames = [await client.receive(), await client.receive()]
        assert sorted(opcode for opcode, _ in frames) == [TEXT, PONG]
        await wait_until(lambda: host.connections[0].messages == ["early"], "the message")


async def test_client_that_never_reads_is_dropped_at_the_bound_of_its_send_buffer() -> None:
    async with (
        run_engine("uvicorn-fast", session_buffer_bytes=1 << 20) as host,
        frame_client(host.port) as client,
    ):
        await client.receive()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        (connection,) = host.connections
        for _ in range(200):
            host.emit(b"x" * 65536)
            await asyncio.sleep(0)
        await wait_until(lambda: connection.reasons == ["slow client"], "the reason")
        assert host.engine.counters["clients_dropped"] == 1


async def test_half_closed_client_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.hosting.websocket_protocol.CLOSE_HANDSHAKE_S", 0.05)
    async with run_engine("uvicorn-fast") as host, frame_client(host.port) as client:
        await client.receive()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        (connection,) = host.connections
        while connection.session.direct_writer.write_frames is not None:
            host.emit(b"x" * 65536)
            await asyncio.sleep(0)
        client.writer.write_eof()
        await wait_until(lambda: connection.reasons == ["transport close"], "the reason")


async def test_client_that_never_answers_a_close_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.engine.websocket_transports.CLOSE_HANDSHAKE_S", 0.05)
    async with run_engine("uvicorn-fast") as host, frame_client(host.port) as client:
        await client.receive()
        host.connections[0].session.end("forced close")
        assert await client.close_code() == 1000
        await client.ended()


async def poll_session(host: Any) -> str:
    """Open a polling session; its id."""
    reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.write(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    return answer.partition('"sid":"')[2].partition('"')[0]


async def pongs_until(client: FrameClient, last: bytes) -> list[bytes]:
    """Read to the pong `last`; the payloads of all pongs."""
    pongs: list[bytes] = []
    while not pongs or pongs[-1] != last:
        opcode, data = await client.receive()
        if opcode == PONG:
            pongs.append(data)
    return pongs
