"""Streams over real sockets: upgrades in the middle, clients that stop reading, clients that disconnect."""

import asyncio
import json
import socket as sockets
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tests.support.engine_server import SERVERS, RunningEngine, run_engine
from tests.support.npm import node_modules, require_node
from tests.support.timing import LIMIT_S, wait_until
from tests.support.websocket_clients import connect

CLIENT = Path(__file__).resolve().parents[1] / "support" / "engine_client.mjs"
TOTAL = 400


async def _stream(host: RunningEngine, total: int, *, pause_s: float = 0.001) -> None:
    await wait_until(lambda: host.connections, "the client")
    for number in range(total):
        host.emit(f"s{number}")
        if number % 5 == 0:
            await asyncio.sleep(pause_s)


@pytest.mark.parametrize("server", SERVERS)
async def test_official_client_upgrades_in_a_stream_without_loss_or_duplicates(server: str) -> None:
    modules = node_modules("engine.io-client@*")
    async with run_engine(server) as host:
        sender = asyncio.ensure_future(_stream(host, TOTAL))
        options = json.dumps({"transports": ["polling", "websocket"], "total": TOTAL})
        client = await asyncio.create_subprocess_exec(
            require_node(),
            str(CLIENT),
            str(modules),
            f"http://127.0.0.1:{host.port}",
            options,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(2 * LIMIT_S):
                output, _ = await client.communicate()
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
        await sender
        result = json.loads(output)
        assert result["received"] == [f"s{number}" for number in range(TOTAL)]
        assert result["transport"] == "websocket"
        assert [event.split()[0] for event in result["events"]] == ["upgrade"]
        connection = host.connections[0]
        await wait_until(lambda: len(connection.messages) == TOTAL, "the client's messages")
        assert connection.messages == [f"c{number}" for number in range(TOTAL)]
        await wait_until(lambda: connection.reasons == ["transport close"], "the reason")


@pytest.mark.parametrize("server", SERVERS)
async def test_upgrade_in_the_middle_of_a_stream_both_ways(server: str) -> None:
    async with run_engine(server) as host, httpx.AsyncClient(timeout=LIMIT_S) as http:
        opened = await http.get(host.url())
        first, *early = opened.text.split("\x1e")
        sid = json.loads(first[1:])["sid"]
        received = [record[1:] for record in early]
        sender = asyncio.ensure_future(_stream(host, TOTAL))

        async def poll(until: int) -> None:
            while len(received) < until:
                answer = await http.get(host.url(sid))
                received.extend(record[1:] for record in answer.text.split("\x1e") if record != "6")

        async def post(begin: int, end: int) -> None:
            for number in range(begin, end):
                assert (await http.post(host.url(sid), content=f"4c{number}")).text == "ok"

        await asyncio.gather(poll(20), post(0, 20))
        async with connect(host.websocket_url(sid)) as socket:
            last_poll = asyncio.ensure_future(http.get(host.url(sid)))
            await socket.send("2probe")
            assert await socket.recv() == "3probe"
            received.extend(record[1:] for record in (await last_poll).text.split("\x1e") if record != "6")
            await socket.send("5")
            for number in range(20, 120):
                await socket.send(f"4c{number}")
            while len(received) < TOTAL:
                received.append(str(await socket.recv())[1:])
            await sender
            connection = host.connections[0]
            await wait_until(lambda: len(connection.messages) == 120, "the client's messages")
        assert received == [f"s{number}" for number in range(TOTAL)]
        assert connection.messages == [f"c{number}" for number in range(120)]


@pytest.mark.parametrize("server", SERVERS)
async def test_client_that_stops_reading_is_dropped_and_the_others_get_everything(server: str) -> None:
    frame = "x" * 20_000
    async with run_engine(server, session_buffer_bytes=200_000) as host:
        stuck = await asyncio.to_thread(_open_and_never_read, host)
        await wait_until(lambda: len(host.connections) == 1, "the stuck client")
        async with connect(host.websocket_url(), max_size=None) as reader:
            assert str(await reader.recv()).startswith("0{")
            bad, good = host.connections
            with capture_logs() as logs:
                sent = 0
                while not bad.session.closed:
                    prepared = host.engine.prepare([f"{sent}:{frame}"])
                    bad.session.write(prepared)
                    good.session.write(prepared)
                    assert await reader.recv() == f"4{sent}:{frame}"
                    sent += 1
                    assert sent < 2000, "the stuck client was never dropped"
            await wait_until(lambda: bad.reasons == ["slow client"], "the reason")
            assert good.reasons == []
            assert len([entry for entry in logs if entry["event"] == "client_dropped"]) == 1
            assert host.engine.counters["clients_dropped"] == 1
        stuck.close()
        await wait_until(lambda: host.engine.active_requests == 0, "the requests to end")


def _connect(host: RunningEngine) -> sockets.socket:
    """Connect with a small receive buffer, so that the server soon detects unread data."""
    connection = sockets.socket()
    connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    connection.settimeout(LIMIT_S)
    connection.connect(("127.0.0.1", host.port))
    return connection


def _open_and_never_read(host: RunningEngine) -> sockets.socket:
    """Open a WebSocket by hand, with a small receive buffer, and read nothing after the open packet."""
    connection = _connect(host)
    connection.sendall(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _read(connection, 1)
    _, size = _read(connection, 2)
    assert _read(connection, size).startswith(b"0{")
    return connection


@pytest.mark.parametrize("server", SERVERS)
async def test_paused_client_that_reads_again_gets_everything_in_order(server: str) -> None:
    async with run_engine(server, session_buffer_bytes=10_000_000) as host:
        client = await asyncio.to_thread(_open_and_never_read, host)
        await wait_until(lambda: host.connections, "the client")
        session = host.connections[0].session
        pieces = [host.engine.prepare([f"{number}:" + "y" * 20_000]) for number in range(150)]
        for piece in pieces:
            session.write(piece)
            await asyncio.sleep(0)
        assert session.buffered_bytes > 0
        after = host.engine.prepare(["after"])
        expected = b"".join(piece.ws_frames for piece in pieces)
        received = await asyncio.to_thread(_read, client, len(expected))
        await wait_until(lambda: session.buffered_bytes == 0, "the send buffer to be empty")
        session.write(after)
        assert received == expected
        rest = await asyncio.to_thread(_read, client, len(after.ws_frames))
        assert rest == after.ws_frames
        client.close()
        await wait_until(lambda: host.engine.active_requests == 0, "the request to end")


def _read(connection: sockets.socket, size: int) -> bytes:
    """Read exactly `size` bytes."""
    data = b""
    while len(data) < size:
        piece = connection.recv(min(size - len(data), 1 << 16))
        assert piece, f"the server closed the connection after {len(data)} of {size} bytes"
        data += piece
    return data


@pytest.mark.parametrize("server", SERVERS)
async def test_client_that_sends_faster_than_it_is_handled_is_read_more_slowly(server: str) -> None:
    gate = asyncio.Event()

    def on_message(connection: Any, _: Any) -> Any:
        return None if len(connection.messages) % 10 else gate.wait()

    async with run_engine(server, on_message) as host, connect(host.websocket_url()) as socket:
        await socket.recv()
        for number in range(100):
            await socket.send(f"4{number}")
        connection = host.connections[0]
        await wait_until(lambda: len(connection.messages) == 10, "the first ten")
        await socket.ping()
        await asyncio.sleep(0.05)  # time for the failure to occur
        assert len(connection.messages) == 10
        gate.set()
        await wait_until(lambda: len(connection.messages) == 100, "the rest")
        assert connection.messages == [str(number) for number in range(100)]


@pytest.mark.parametrize("server", SERVERS)
async def test_clients_that_vanish_during_broadcasts_leave_nothing_behind(server: str) -> None:
    async with run_engine(server) as host:
        stable = connect(host.websocket_url())
        async with stable as survivor:
            await survivor.recv()
            vanishing = [await asyncio.to_thread(_open_and_never_read, host) for _ in range(30)]
            await wait_until(lambda: len(host.engine.sessions) == 31, "all clients")
            for number in range(60):
                prepared = host.engine.prepare([f"n{number}"])
                for connection in host.connections:
                    connection.session.write(prepared)
                if number % 2 and vanishing:
                    vanishing.pop().close()
                await asyncio.sleep(0)
            assert [await survivor.recv() for _ in range(60)] == [f"4n{number}" for number in range(60)]
            await wait_until(lambda: len(host.engine.sessions) == 1, "the others to be gone")
            await wait_until(lambda: host.engine.active_requests == 1, "their requests to end")
            vanished = host.connections[1:]
            await wait_until(lambda: all(connection.reasons for connection in vanished), "the reasons")
            assert [connection.reasons for connection in vanished] == [["transport close"]] * 30
