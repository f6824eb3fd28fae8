"""Handshakes, unknown sessions, CORS, cookies and the end of an engine."""

import asyncio
import json
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.asgi import FakeHttp, FakeWebSocket, http
from tests.support.engine import EngineUnderTest
from tests.support.timing import wait_until

UNKNOWN_SID = (
    '{"code":1,"message":"Session ID unknown","reason":"not a session id of zmqio, which has 20 characters"}'
)


async def _open(host: EngineUnderTest, query: str = "EIO=4&transport=polling", **options: Any) -> Any:
    return await http(host.engine.handle, options.pop("method", "GET"), query, **options)


async def test_handshake_contains_sid_upgrades_times_and_limit() -> None:
    async with EngineUnderTest(ping_interval_s=0.3, ping_timeout_s=0.2, max_payload_bytes=5000) as host:
        answer = await _open(host)
        assert answer.status == 200
        fields = json.loads(answer.text[1:])
        sid = fields.pop("sid")
        assert fields == {"upgrades": ["websocket"], "pingInterval": 300, "pingTimeout": 200, "maxPayload": 5000}
        assert len(sid) == 20
        assert sid.startswith("node")
        assert list(host.engine.sessions) == [sid]


async def test_layer_above_sees_the_request_and_its_packets_follow_the_open_packet() -> None:
    async with EngineUnderTest() as host:
        host.engine._accept = _greeting(host)
        before = time.time()
        answer = await _open(host, "EIO=4&transport=polling&token=a", headers={"X-Who": "me"})
        opened, hello = answer.text.split("\x1e")
        assert (opened[0], hello) == ("0", "4hello")
        request = host.connections[0].request
        assert (request.path, request.query) == ("/socket.io/", "EIO=4&transport=polling&token=a")
        assert (request.headers["x-who"], request.address, request.secure) == ("me", "127.0.0.1", False)
        assert request.time >= before


def _greeting(host: EngineUnderTest) -> Any:
    accept = host._accept

    def greet(session: Any, request: Any) -> Any:
        session.write(host.engine.prepare(["hello"]))
        return accept(session, request)

    return greet


async def test_layer_above_that_fails_refuses_the_handshake() -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("boom")

    async with EngineUnderTest() as host:
        host.engine._accept = fail
        with capture_logs() as logs:
            assert (await _open(host)).status == 400
            socket = host.websocket()
            await socket.ended()
        assert socket.close_code == 1011
        assert [entry["event"] for entry in logs] == ["session_open_failed", "session_open_failed"]
        assert dict(host.engine.sessions) == {}


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [
        ("GET", "", '{"code":0,"message":"Transport unknown"}'),
        ("GET", "EIO=4&transport=polling" + "&" * 99, '{"code":3,"message":"The query has more than 100 fields"}'),
        ("GET", "EIO=4", '{"code":0,"message":"Transport unknown"}'),
        ("GET", "EIO=4&transport=abc", '{"code":0,"message":"Transport unknown"}'),
        ("GET", "transport=polling", '{"code":5,"message":"Unsupported protocol version"}'),
        ("GET", "EIO=3&transport=polling", '{"code":5,"message":"Unsupported protocol version"}'),
        ("GET", "EIO=4&transport=websocket", '{"code":3,"message":"Bad request"}'),
        ("POST", "EIO=4&transport=polling", '{"code":2,"message":"Bad handshake method"}'),
        ("PUT", "EIO=4&transport=polling", '{"code":2,"message":"Bad handshake method"}'),
        ("GET", "EIO=4&transport=polling&sid=nobody", UNKNOWN_SID),
        ("POST", "EIO=4&transport=polling&sid=nobody", UNKNOWN_SID),
        ("GET", "EIO=4&transport=polling&j=0", '{"code":3,"message":"JSONP is not supported"}'),
    ],
)
async def test_wrong_requests_get_the_javascript_servers_answers(method: str, query: str, body: str) -> None:
    async with EngineUnderTest() as host:
        answer = await _open(host, query, method=method)
        assert (answer.status, answer.text) == (400, body)
        assert answer.headers["content-type"] == "application/json"
        assert host.connections == []


async def test_session_request_of_another_version_is_a_bad_request() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        answer = await _open(host, f"EIO=3&transport=polling&sid={sid}")
        assert (answer.status, answer.text) == (400, '{"code":3,"message":"Bad request"}')
        assert connection.reasons == []


# CORS.

ORIGIN = {"origin": "http://app.example", "host": "chat.example"}


@pytest.mark.parametrize(
    ("allowed", "is_allowed"),
    [
        ("*", True),
        ("http://app.example", True),
        (["http://app.example", "http://b"], True),
        (["http://b"], False),
        (lambda origin: origin.endswith(".example"), True),
        (lambda origin: False, False),
        (None, False),
        ((), True),
    ],
)
async def test_origin_is_checked_on_http_and_websocket(allowed: Any, is_allowed: bool) -> None:
    async with EngineUnderTest(cors_allowed_origins=allowed) as host:
        with capture_logs() as logs:
            answer = await _open(host, headers=ORIGIN)
            socket = host.websocket(**ORIGIN)
            await wait_until(lambda: socket.accepted or socket.refusal.status, "an answer")
        assert (answer.status, socket.accepted) == ((200, True) if is_allowed else (403, False))
        if not is_allowed:
            assert answer.text == socket.refusal.text == '{"code":4,"message":"Forbidden"}'
            assert [entry["event"] for entry in logs] == ["origin_refused"]
            assert host.engine.counters["origins_refused"] == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://chat.example", "host": "chat.example"},
        {"origin": "https://front", "host": "inner", "x-forwarded-proto": "https", "x-forwarded-host": "front"},
    ],
)
async def test_same_origin_is_allowed_by_default_also_behind_a_proxy(headers: dict[str, str]) -> None:
    async with EngineUnderTest() as host:
        assert (await _open(host, headers=headers)).status == 200


CREDENTIALS = "access-control-allow-credentials"


async def test_listed_origin_is_named_in_the_answer_with_credentials() -> None:
    async with EngineUnderTest(cors_allowed_origins=["http://app.example"]) as host:
        headers = (await _open(host, headers=ORIGIN)).headers
        assert headers["access-control-allow-origin"] == "http://app.example"
        assert (headers[CREDENTIALS], headers["vary"]) == ("true", "Origin")


async def test_any_origin_is_allowed_without_credentials_in_every_answer() -> None:
    async with EngineUnderTest(cors_allowed_origins="*") as host:
        opened = await _open(host, headers=ORIGIN)
        sid = host.connections[0].session.sid
        host.emit("a")
        polled = host.get(sid, headers=ORIGIN)
        answers = [opened, await polled, await host.post(sid, "4a", headers=ORIGIN)]
        answers += [await _open(host, method="OPTIONS", headers=ORIGIN)]
        answers += [await _open(host, "EIO=4&transport=x", headers=ORIGIN)]
        host.engine.stop_accepting()
        answers += [await _open(host, headers=ORIGIN)]
    assert [answer.status for answer in answers] == [200, 200, 200, 204, 400, 503]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "*"
        assert CREDENTIALS not in answer.headers


async def test_credentials_can_be_switched_off() -> None:
    async with EngineUnderTest(cors_allowed_origins=["http://app.example"], cors_credentials=False) as host:
        headers = (await _open(host, headers=ORIGIN)).headers
        assert headers["access-control-allow-origin"] == "http://app.example"
        assert CREDENTIALS not in headers


async def _forgotten(origin: str) -> bool:
    return True


@pytest.mark.parametrize("allowed", [lambda origin: 1 / 0, lambda origin: _forgotten(origin)])  # noqa: PLW0108
async def test_function_that_raises_or_returns_an_awaitable_refuses_the_origin(allowed: Any) -> None:
    async with EngineUnderTest(cors_allowed_origins=allowed) as host:
        with capture_logs() as logs:
            answer = await _open(host, headers=ORIGIN)
            socket = host.websocket(**ORIGIN)
            await wait_until(lambda: socket.refusal.status, "an answer")
        assert (answer.status, socket.refusal.status) == (403, 403)
        assert logs[0]["event"] == "origin_check_failed"


PROXIED = {"origin": "https://front", "host": "inner", "x-forwarded-proto": "https", "x-forwarded-host": "front"}


@pytest.mark.parametrize(("trusted", "status"), [("127.0.0.1", 200), ("*", 200), ("10.0.0.1", 403), ("", 403)])
async def test_forwarded_origin_is_believed_from_trusted_proxies_only(trusted: str, status: int) -> None:
    async with EngineUnderTest(trusted_proxies=trusted) as host:
        with capture_logs() as logs:
            assert (await _open(host, headers=PROXIED)).status == status
            socket = host.websocket(**PROXIED)
            await wait_until(lambda: socket.accepted or socket.refusal.status, "an answer")
        assert socket.accepted == (status == 200)
        assert [line["untrusted_proxy"] for line in logs] == ([] if status == 200 else ["127.0.0.1"])


async def test_preflight_is_answered_without_a_session() -> None:
    async with EngineUnderTest(cors_allowed_origins="*") as host:
        headers = {**ORIGIN, "access-control-request-headers": "x-token", "access-control-request-method": "POST"}
        answer = await _open(host, method="OPTIONS", headers=headers)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["access-control-allow-methods"] == "OPTIONS, GET, POST"
        assert answer.headers["access-control-allow-headers"] == "x-token"
        assert host.connections == []


async def test_refused_origin_gets_a_preflight_answer_that_allows_nothing() -> None:
    async with EngineUnderTest(cors_allowed_origins=["http://b"]) as host:
        answer = await _open(host, method="OPTIONS", headers=ORIGIN)
        assert "access-control-allow-origin" not in answer.headers


async def test_without_cors_handling_no_cors_header_is_sent_and_options_is_no_handshake() -> None:
    async with EngineUnderTest(cors_allowed_origins=()) as host:
        assert not [name for name in (await _open(host, headers=ORIGIN)).headers if "access-control" in name]
        assert (await _open(host, method="OPTIONS", headers=ORIGIN)).status == 400


# Cookie.


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        ("io", "io={sid}; Path=/; HttpOnly; SameSite=Lax"),
        ({"name": "io", "path": "/chat", "HttpOnly": False}, "io={sid}; SameSite=Lax; path=/chat"),
        ({"Secure": True}, "io={sid}; Path=/; HttpOnly; SameSite=Lax; Secure"),
    ],
)
async def test_cookie_carries_the_session_id_on_the_handshake_only(cookie: Any, expected: str) -> None:
    async with EngineUnderTest(cookie=cookie) as host:
        answer = await _open(host)
        sid = host.connections[0].session.sid
        assert answer.headers["set-cookie"] == expected.format(sid=sid)
        host.emit("a")
        assert "set-cookie" not in (await host.get(sid)).headers


async def test_no_cookie_by_default() -> None:
    async with EngineUnderTest() as host:
        assert "set-cookie" not in (await _open(host)).headers


# The end.


async def test_close_ends_every_session_with_its_reason_and_releases_every_request() -> None:
    host = EngineUnderTest()
    sid, parked = await host.open_polling()
    poll = host.get(sid)
    await wait_until(lambda: parked.session.transport.ready, "the poll to wait")
    _, absent = await host.open_polling()
    socket, connected = await host.open_websocket()
    probing, _ = await host.open_polling()
    probe = host.websocket(probing)
    probe.send("2probe")
    assert await probe.receive() == "3probe"

    await host.engine.close()

    assert (await poll).text == "1"
    await socket.ended()
    await probe.ended()
    assert socket.close_code == 1000
    assert [connection.reasons for connection in (parked, absent, connected)] == [["server shutting down"]] * 3
    assert host.engine.active_requests == 0
    assert dict(host.engine.sessions) == {}
    assert len(asyncio.all_tasks()) == 1


async def test_close_delivers_what_a_waiting_poll_can_still_take() -> None:
    host = EngineUnderTest()
    sid, connection = await host.open_polling()
    poll = host.get(sid)
    await wait_until(lambda: connection.session.transport.ready, "the poll to wait")
    host.emit("last words")
    await host.engine.close()
    assert (await poll).text == "4last words"


async def test_handshake_after_close_is_answered_503() -> None:
    host = EngineUnderTest()
    await host.engine.close("bye")
    assert (await _open(host)).status == 503
    socket = host.websocket()
    await socket.ended()
    assert socket.refusal.status == 503


async def test_close_does_not_wait_for_ever_for_a_handler_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.engine.server.CLOSE_WAIT_S", 0.02)
    gate = asyncio.Event()

    async def hang(*_: Any) -> None:
        await gate.wait()

    host = EngineUnderTest(hang)
    sid, connection = await host.open_polling()
    post = asyncio.ensure_future(host.post(sid, "4a"))
    await wait_until(lambda: connection.messages, "the message")
    with capture_logs() as logs:
        await host.engine.close()
    assert [entry["event"] for entry in logs] == ["requests_abandoned"]
    assert connection.reasons == ["server shutting down"]
    gate.set()
    await post


async def test_active_requests_are_counted() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        assert host.engine.active_requests == 0
        poll = host.get(sid)
        await wait_until(lambda: connection.session.transport.ready, "the poll to wait")
        assert host.engine.active_requests == 1
        poll.go_away()
        await poll
        assert host.engine.active_requests == 0


async def test_parked_poll_has_no_task_but_the_servers_own() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        before = len(asyncio.all_tasks())
        poll = FakeHttp(host.engine.handle, "GET", f"EIO=4&transport=polling&sid={sid}")
        await wait_until(lambda: connection.session.transport.ready, "the poll to wait")
        assert len(asyncio.all_tasks()) == before + 1
        poll.go_away()
        await poll


async def test_shared_packet_with_attachment_reaches_both_transports_whoever_is_first() -> None:
    for websocket_first in (True, False):
        async with EngineUnderTest() as host:
            sid, polling = await host.open_polling()
            socket, connected = await host.open_websocket()
            prepared = host.engine.prepare(['51-["a",{"_placeholder":true,"num":0}]', b"\x01\x02\x03\x04"])
            sessions = [connected.session, polling.session]
            for session in sessions if websocket_first else reversed(sessions):
                session.write(prepared)
            head = '451-["a",{"_placeholder":true,"num":0}]'
            assert [await socket.receive(), await socket.receive()] == [head, b"\x01\x02\x03\x04"]
            assert (await host.get(sid)).text == head + "\x1ebAQIDBA=="


async def test_engine_that_stops_accepting_serves_open_sessions() -> None:
    async with EngineUnderTest() as host:
        sid, polling = await host.open_polling()
        socket, connected = await host.open_websocket()
        host.engine.stop_accepting()
        refused = await _open(host)
        assert (refused.status, refused.text) == (503, '{"code":3,"message":"Server shutting down"}')
        assert refused.headers["connection"] == "close"
        late = host.websocket()
        await late.ended()
        assert (late.refusal.status, late.accepted) == (503, False)

        poll = host.get(sid)
        await wait_until(lambda: polling.session.transport.ready, "the poll to wait")
        host.emit("a")
        assert (await poll).text == "4a"
        assert (await host.post(sid, "4b")).text == "ok"
        socket.send("4c")
        await wait_until(lambda: connected.messages, "the message")
        upgraded = await host.upgrade(sid)
        host.emit("d")
        assert await upgraded.receive() == "4d"
        assert (polling.messages, connected.messages) == (["b"], ["c"])
        assert (await host.get("nobody")).text == UNKNOWN_SID


async def test_handshake_in_progress_when_the_engine_stops_accepting_is_refused() -> None:
    async with EngineUnderTest() as host:

        async def handle(scope: Any, receive: Any, send: Any) -> None:
            async def stop_while_sending(message: Any) -> None:
                host.engine.stop_accepting()
                await send(message)

            await host.engine.handle(scope, receive, stop_while_sending)

        socket = FakeWebSocket(handle, "EIO=4&transport=websocket")
        await socket.ended()
        assert (socket.accepted, socket.close_code) == (True, 1013)
        assert host.connections == []


async def test_wait_until_empty_waits_for_the_last_session() -> None:
    async with EngineUnderTest() as host:
        await host.engine.wait_until_empty()
        _, first = await host.open_polling()
        _, second = await host.open_polling()
        emptied = asyncio.ensure_future(host.engine.wait_until_empty())
        first.session.end("transport close")
        for _ in range(3):
            await asyncio.sleep(0)
        assert not emptied.done()
        second.session.end("transport close")
        await wait_until(emptied.done, "the last session to end")


async def test_handshakes_beyond_the_limit_are_answered_503_on_both_transports() -> None:
    async with EngineUnderTest(max_sessions=1) as host:
        await host.open_polling()
        with capture_logs() as logs:
            refused = await _open(host)
            assert (refused.status, refused.headers["connection"]) == (503, "close")
            assert "1 (max_sessions)" in refused.text
            socket = host.websocket()
            await socket.ended()
            assert (socket.accepted, socket.refusal.status, socket.refusal.text) == (False, 503, refused.text)
        assert host.engine.counters["sessions_refused"] == 2
        assert [entry["event"] for entry in logs] == ["session_refused"] * 2
        host.connections[0].session.end("forced close")
        assert (await _open(host)).status == 200


async def test_websockets_that_are_accepted_at_the_same_time_keep_to_the_limit() -> None:
    async with EngineUnderTest(max_sessions=1) as host:
        sockets = [host.websocket() for _ in range(3)]
        for socket in sockets:
            socket.can_send.clear()
        await wait_until(lambda: host.engine.active_requests == 3, "all handshakes")
        await asyncio.sleep(0)
        for socket in sockets:
            socket.can_send.set()
        await wait_until(lambda: all(socket.sent or socket.close_code for socket in sockets), "all answers")
        assert (len(host.engine.sessions), [socket.close_code for socket in sockets]) == (1, [None, 1013, 1013])
        sockets[0].close()


async def test_sessions_of_one_address_are_limited() -> None:
    async with EngineUnderTest(max_sessions_per_address=1) as host:
        await host.open_polling()
        refused = await _open(host)
        assert (refused.status, "max_sessions_per_address" in refused.text) == (503, True)


async def test_large_head_is_refused_on_the_handshake_only() -> None:
    large = {"x-large": "v" * 20_000}
    async with EngineUnderTest() as host:
        assert (await _open(host, headers=large)).status == 431
        sid, _ = await host.open_polling()
        assert (await host.post(sid, "4a", headers=large)).text == "ok"


async def test_session_whose_client_sends_nothing_is_closed() -> None:
    async with EngineUnderTest(first_packet_timeout_s=0.3) as host:
        sid, polling = await host.open_polling()
        poll = host.get(sid)
        socket, websocket = await host.open_websocket()
        await wait_until(lambda: polling.reasons and websocket.reasons, "the end of both")
        assert (polling.reasons, websocket.reasons) == (["forced close"], ["forced close"])
        assert ((await poll).text, host.engine.counters["sessions_expired"]) == ("1", 2)
        await socket.ended()


async def test_session_whose_client_is_sending_its_first_body_stays() -> None:
    async with EngineUnderTest(first_packet_timeout_s=0.3) as host:
        sid, sending = await host.open_polling()
        post = FakeHttp(host.engine.handle, "POST", f"EIO=4&transport=polling&sid={sid}", body=b"4a", endless=True)
        await wait_until(lambda: sending.session.abort_post is not None, "the body to be read")
        _, silent = await host.open_polling()
        await wait_until(lambda: silent.reasons, "the end of the other session")
        assert sending.reasons == []
        post.go_away()
        await post


@pytest.mark.parametrize("packet", ["4message", "3", "6"])
async def test_session_whose_client_has_sent_a_packet_stays(packet: str) -> None:
    async with EngineUnderTest(first_packet_timeout_s=0.3) as host:
        sid, connection = await host.open_polling()
        await host.post(sid, packet)
        _, silent = await host.open_polling()
        await wait_until(lambda: silent.reasons, "the end of the other session")
        assert connection.reasons == []
