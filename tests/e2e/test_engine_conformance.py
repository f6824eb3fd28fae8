"""Engine.IO v4 over real sockets, under every ASGI server that is supported, on the plain and on the fast path.

Source: the cases of the protocol's own test suite (https://github.com/socketio/engine.io-protocol, `test-suite`).
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.engine_server import SERVERS, RunningEngine, run_engine
from tests.support.timing import LIMIT_S, wait_until
from tests.support.websocket_clients import connect

PING = {"ping_interval_s": 0.3, "ping_timeout_s": 0.2}

pytestmark = pytest.mark.parametrize("server", SERVERS)


def _echo(connection: Any, data: str | bytes) -> None:
    connection.session.write(connection.session.server.prepare([data]))


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=LIMIT_S) as client:
        yield client


async def _open(host: RunningEngine, http: httpx.AsyncClient) -> str:
    answer = await http.get(host.url())
    assert answer.status_code == 200
    return str(json.loads(answer.text[1:])["sid"])


async def _closed(socket: ClientConnection) -> int | None:
    async with asyncio.timeout(LIMIT_S):
        await socket.wait_closed()
    return socket.close_code


async def test_handshake_over_polling(server: str, http: httpx.AsyncClient) -> None:
    async with run_engine(server, **PING) as host:
        answer = await http.get(host.url())
        fields = json.loads(answer.text[1:])
        assert answer.headers["content-type"] == "text/plain; charset=UTF-8"
        assert len(fields.pop("sid")) == 20
        times = {"pingInterval": 300, "pingTimeout": 200}
        assert fields == {"upgrades": ["websocket"], "maxPayload": 1_000_000, **times}


async def test_handshake_over_websocket(server: str) -> None:
    async with run_engine(server, **PING) as host, connect(host.websocket_url()) as socket:
        fields = json.loads(str(await socket.recv())[1:])
        assert fields["upgrades"] == []
        assert fields["pingInterval"] == 300


async def test_wrong_handshakes_over_websocket_are_refused_with_their_reason(server: str) -> None:
    async with run_engine(server) as host:
        for query, code in (("transport=websocket", 5), ("EIO=4&transport=abc", 0), ("EIO=4", 0)):
            with pytest.raises(InvalidStatus) as refusal:
                await connect(f"ws://{host.address}?{query}")
            assert refusal.value.response.status_code == 400
            assert json.loads(refusal.value.response.body or b"")["code"] == code


async def test_messages_over_polling(server: str, http: httpx.AsyncClient) -> None:
    async with run_engine(server, _echo) as host:
        sid = await _open(host, http)
        body = "4test1\x1e4é€\x1ebAQIDBA=="
        answer = await http.post(host.url(sid), content=body.encode())
        assert (answer.status_code, answer.text) == (200, "ok")
        assert (await http.get(host.url(sid))).text == body


async def test_messages_over_websocket(server: str) -> None:
    async with run_engine(server, _echo) as host, connect(host.websocket_url()) as socket:
        await socket.recv()
        for data in ("4hello", "4é€", b"\x01\x02\x03\x04", b"", "4"):
            await socket.send(data)
            assert await socket.recv() == data


async def test_fragmented_message_is_delivered_in_order(server: str) -> None:
    async def parts() -> AsyncIterator[str]:
        for part in ("4a", "b", "c"):
            yield part
            await asyncio.sleep(0.01)  # separate reads at the server

    async with run_engine(server, _echo) as host, connect(host.websocket_url()) as socket:
        await socket.recv()
        await socket.send("4first")
        await socket.send(parts())
        await socket.send("4last")
        assert [await socket.recv() for _ in range(3)] == ["4first", "4abc", "4last"]


async def test_invalid_body_is_answered_400_and_ends_the_session(server: str, http: httpx.AsyncClient) -> None:
    async with run_engine(server) as host:
        sid = await _open(host, http)
        assert (await http.post(host.url(sid), content="abc")).status_code == 400
        refusal = (await http.get(host.url(sid))).json()
        assert (refusal["code"], refusal["message"]) == (1, "Session ID unknown")


async def test_invalid_websocket_packet_ends_the_session(server: str) -> None:
    async with run_engine(server) as host, connect(host.websocket_url()) as socket:
        await socket.recv()
        await socket.send("abc")
        await _closed(socket)
        await wait_until(lambda: host.connections[0].reasons == ["parse error"], "the reason")


async def test_duplicate_polls_end_the_session(server: str, http: httpx.AsyncClient) -> None:
    async with run_engine(server) as host:
        sid = await _open(host, http)
        first = asyncio.ensure_future(http.get(host.url(sid)))
        await wait_until(lambda: host.connections[0].session.transport.ready, "the poll to wait")
        second = await http.get(host.url(sid))
        assert ((await first).text, second.status_code) == ("1", 400)
        assert (await http.get(host.url(sid))).status_code == 400


async def test_heartbeat_over_polling(server: str, http: httpx.AsyncClient) -> None:
    async with run_engine(server, ping_interval_s=0.05, ping_timeout_s=LIMIT_S) as host:
        sid = await _open(host, http)
        for _ in range(3):
            assert (await http.get(host.url(sid))).text == "2"
            assert (await http.post(host.url(sid), content="3")).text == "ok"


async def test_ping_timeout_over_polling_releases_the_poll(server: str, http: httpx.AsyncClient) -> None:
    for ping_timeout_s in (0.2, 2.0, 20.0):  # a longer one, if this process was too slow to poll again in time
        async with run_engine(server, ping_interval_s=0.05, ping_timeout_s=ping_timeout_s) as host:
            sid = await _open(host, http)
            answers = [await http.get(host.url(sid)) for _ in range(2)]
            assert (await http.post(host.url(sid), content="3")).status_code == 400
        if answers[-1].status_code == 200:
            break
    assert [answer.text for answer in answers] == ["2", "1"]


async def test_heartbeat_over_websocket(server: str) -> None:
    options = {"ping_interval_s": 0.05, "ping_timeout_s": LIMIT_S}
    async with run_engine(server, **options) as host, connect(host.websocket_url()) as socket:
        await socket.recv()
        for _ in range(3):
            assert await socket.recv() == "2"
            await socket.send("3")


async def test_ping_timeout_over_websocket(server: str) -> None:
    options = {"ping_interval_s": 0.05, "ping_timeout_s": 0.05}
    async with run_engine(server, **options) as host, connect(host.websocket_url()) as socket:
        await _closed(socket)
        await wait_until(lambda: host.connections[0].reasons == ["ping timeout"], "the reason")


async def test_close_packet_over_polling(server: str, http: httpx.AsyncClient) -> None:
    async with run_engine(server) as host:
        sid = await _open(host, http)
        poll = asyncio.ensure_future(http.get(host.url(sid)))
        await wait_until(lambda: host.connections[0].session.transport.ready, "the poll to wait")
        assert (await http.post(host.url(sid), content="1")).text == "ok"
        assert (await poll).text == "6"
        assert (await http.get(host.url(sid))).status_code == 400


async def test_close_packet_over_websocket(server: str) -> None:
    async with run_engine(server) as host, connect(host.websocket_url()) as socket:
        await socket.recv()
        await socket.send("1")
        await _closed(socket)


async def test_close_by_the_server_ends_the_request_too(server: str) -> None:
    async with run_engine(server) as host, connect(host.websocket_url()) as socket:
        await socket.recv()
        host.emit("last")
        host.connections[0].session.close_soon("forced close")
        assert await socket.recv() == "4last"
        assert await _closed(socket) == 1000
        await wait_until(lambda: host.engine.active_requests == 0, "the request to end")
        assert host.connections[0].reasons == ["forced close"]


async def test_closing_client_ends_session_and_request(server: str) -> None:
    async with run_engine(server) as host:
        async with connect(host.websocket_url()) as socket:
            await socket.recv()
        await wait_until(lambda: host.engine.active_requests == 0, "the request to end")
        assert host.connections[0].reasons == ["transport close"]


async def test_upgrade(server: str, http: httpx.AsyncClient) -> None:
    async with run_engine(server, _echo) as host:
        sid = await _open(host, http)
        async with connect(host.websocket_url(sid)) as socket:
            await socket.send("2probe")
            assert await socket.recv() == "3probe"
            assert (await http.get(host.url(sid))).text == "6"
            await socket.send("5")
            await socket.send("4hello")
            assert await socket.recv() == "4hello"


async def test_http_request_after_the_upgrade_is_refused(server: str, http: httpx.AsyncClient) -> None:
    async with run_engine(server, _echo) as host:
        sid = await _open(host, http)
        async with connect(host.websocket_url(sid)) as socket:
            await socket.send("2probe")
            await socket.send("5")
            await wait_until(lambda: host.connections[0].upgrades, "the upgrade")
            answer = await http.get(host.url(sid))
            assert (answer.status_code, answer.json()["code"]) == (400, 3)
            await socket.send("4hello")
            assert [await socket.recv(), await socket.recv()] == ["3probe", "4hello"]


async def test_second_websocket_after_the_upgrade_is_closed(server: str, http: httpx.AsyncClient) -> None:
    async with run_engine(server, _echo) as host:
        sid = await _open(host, http)
        async with connect(host.websocket_url(sid)) as socket:
            await socket.send("2probe")
            await socket.send("5")
            await wait_until(lambda: host.connections[0].upgrades, "the upgrade")
            async with connect(host.websocket_url(sid)) as second:
                with pytest.raises(ConnectionClosed):
                    await second.recv()
            await socket.send("4hello")
            assert [await socket.recv(), await socket.recv()] == ["3probe", "4hello"]


async def test_body_over_the_limit_is_answered_413(server: str, http: httpx.AsyncClient) -> None:
    async with run_engine(server, _echo, max_payload_bytes=100_000) as host:
        sid = await _open(host, http)
        answer = await http.post(host.url(sid), content="4" + "x" * 300_000)
        assert answer.status_code == 413
        assert (await http.post(host.url(sid), content="4" + "x" * 99_999)).text == "ok"
        assert (await http.get(host.url(sid))).text == "4" + "x" * 99_999


async def test_websocket_message_over_the_limit_closes_with_1009(server: str) -> None:
    async with run_engine(server, max_payload_bytes=1000) as host, connect(host.websocket_url()) as socket:
        await socket.recv()
        await socket.send("4" + "x" * 1000)
        assert await _closed(socket) == 1009
        await wait_until(lambda: host.connections[0].reasons == ["transport error"], "the reason")


async def test_large_answer_is_compressed_on_the_wire(server: str, http: httpx.AsyncClient) -> None:
    async with run_engine(server) as host:
        sid = await _open(host, http)
        host.emit("x" * 200_000)
        answer = await http.get(host.url(sid), headers={"accept-encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.text == "4" + "x" * 200_000


async def test_aborted_poll_ends_the_session(server: str, http: httpx.AsyncClient) -> None:
    async with run_engine(server) as host:
        sid = await _open(host, http)
        poll = asyncio.ensure_future(http.get(host.url(sid)))
        await wait_until(lambda: host.connections[0].session.transport.ready, "the poll to wait")
        poll.cancel()
        await wait_until(lambda: host.connections[0].reasons == ["transport close"], "the reason")
        assert (await http.get(host.url(sid))).status_code == 400


async def test_engine_that_closes_leaves_nothing_open(server: str, http: httpx.AsyncClient) -> None:
    async with run_engine(server) as host:
        sid = await _open(host, http)
        poll = asyncio.ensure_future(http.get(host.url(sid)))
        async with connect(host.websocket_url()) as socket:
            await socket.recv()
            await wait_until(lambda: host.connections[0].session.transport.ready, "the poll to wait")
            await host.engine.close()
            assert (await poll).text == "1"
            assert await _closed(socket) == 1000
        assert [each.reasons for each in host.connections] == [["server shutting down"]] * 2
        assert host.engine.active_requests == 0
