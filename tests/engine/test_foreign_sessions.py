"""Requests for sessions of other nodes: forwarding, refusals, the log and the counter."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.asgi import FakeHttp, FakeWebSocket
from tests.support.engine import EngineUnderTest
from zmqio.engine.foreign_sessions import ALONE, ENDED, MALFORMED, NO_NODE, unknown_sid, why_unknown
from zmqio.engine.handshake import BAD_REQUEST, UNKNOWN_SID, ClientRequest, Refusal
from zmqio.engine.http_exchange import Exchange
from zmqio.ids import NodeTag

SID = "ther" + "x" * 16
ALONE_BODY = (
    '{"code":1,"message":"Session ID unknown","node":"ther",'
    '"reason":"session was not created by this process and no adapter is configured"}'
)

MINE, OTHER = NodeTag("ther"), NodeTag("tag2")


class FakeForwarder:
    """A `SessionForwarder` that answers by itself, or returns a given refusal."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        self.refusal = refusal
        self.asked: list[str] = []

    async def poll(self, sid: str, exchange: Exchange) -> Refusal | None:
        self.asked.append(f"{exchange.request.method} {sid}")
        if self.refusal is None:
            await exchange.answer_text(b"from elsewhere")
        return self.refusal

    async def websocket(
        self, sid: str, request: ClientRequest, scope: Mapping[str, Any], receive: Any, send: Any
    ) -> Refusal | None:
        self.asked.append(f"WEBSOCKET {sid}")
        if self.refusal is None:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
        return self.refusal


async def test_forwarder_answers_for_sessions_of_other_nodes() -> None:
    async with EngineUnderTest() as host:
        host.engine.unknown_sessions.forwarder = forwarder = FakeForwarder()
        assert (await host.get(SID)).text == "from elsewhere"
        assert (await host.post(SID, "40")).text == "from elsewhere"
        socket = host.websocket(SID)
        await socket.ended()
        assert socket.accepted
        assert forwarder.asked == [f"GET {SID}", f"POST {SID}", f"WEBSOCKET {SID}"]
        assert host.engine.counters["sessions_unknown"] == 0


async def test_refusal_of_the_forwarder_is_sent_to_the_client() -> None:
    async with EngineUnderTest() as host:
        host.engine.unknown_sessions.forwarder = FakeForwarder(unknown_sid(SID, NO_NODE, 503))
        answer = await host.get(SID, headers={"origin": "http://x", "host": "x"})
        assert (answer.status, answer.body) == (503, unknown_sid(SID, NO_NODE).body)
        assert answer.headers["access-control-allow-origin"] == "http://x"
        socket = host.websocket(SID)
        await socket.ended()
        assert (socket.refusal.status, socket.refusal.body) == (503, unknown_sid(SID, NO_NODE).body)
        assert host.engine.counters["sessions_unknown"] == 2
        host.engine.unknown_sessions.forwarder = FakeForwarder(BAD_REQUEST)
        assert (await host.get(SID)).text == '{"code":3,"message":"Bad request"}'
        assert host.engine.counters["sessions_unknown"] == 2


async def test_own_and_malformed_ids_are_never_forwarded() -> None:
    async with EngineUnderTest() as host:
        host.engine.unknown_sessions.forwarder = forwarder = FakeForwarder()
        for sid in ("node" + "x" * 16, "nobody", "x" * 21):
            assert (await host.get(sid)).status == 400
            socket = host.websocket(sid)
            await socket.ended()
            assert socket.refusal.status == 400
        assert forwarder.asked == []


async def test_forwarded_request_is_never_forwarded_again() -> None:
    async with EngineUnderTest() as host:
        host.engine.unknown_sessions.forwarder = forwarder = FakeForwarder()

        async def passed_on(scope: dict[str, Any], receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})["zmqio.relayed"] = object()
            await host.engine.handle(scope, receive, send)

        for method in ("GET", "POST"):
            answer = await FakeHttp(passed_on, method, f"EIO=4&transport=polling&sid={SID}")
            assert (answer.status, '"node":"ther","reason":"session has ended' in answer.text) == (400, True)
        socket = FakeWebSocket(passed_on, f"EIO=4&transport=websocket&sid={SID}")
        await socket.ended()
        assert socket.refusal.status == 400
        assert forwarder.asked == []


async def test_process_without_adapter_gives_the_reason_in_answer_and_log() -> None:
    async with EngineUnderTest() as host:
        with capture_logs() as logs:
            for _ in range(50):
                assert (await host.get(SID)).text == ALONE_BODY
        lines = [line for line in logs if line["event"] == "session_unknown"]
        assert lines[0]["node_tag"] == "ther"
        assert lines[0]["reason"] == "session was not created by this process and no adapter is configured"
        assert len(lines) == 10
        assert host.engine.counters["sessions_unknown"] == 50


def test_body_is_that_of_the_javascript_server_and_more() -> None:
    refusal = unknown_sid(SID, NO_NODE)
    assert refusal.status == 400
    assert refusal.body == (
        b'{"code":1,"message":"Session ID unknown","node":"ther","reason":"no live node has this tag"}'
    )
    assert refusal.body.startswith(UNKNOWN_SID.body[:-1])
    assert unknown_sid(SID, NO_NODE, 503).status == 503


def test_refusal_reveals_only_the_tag_of_the_session_id() -> None:
    assert SID[4:] not in unknown_sid(SID, NO_NODE).body.decode()


@pytest.mark.parametrize("sid", ["", "short", SID + "x", "therabcdefghijklmno\n", '"}' * 10, "\0" * 20])
def test_malformed_session_id_is_not_repeated(sid: str) -> None:
    refusal = unknown_sid(sid, NO_NODE)
    assert json.loads(refusal.body) == {"code": 1, "message": "Session ID unknown", "reason": MALFORMED}


@pytest.mark.parametrize(
    ("sid", "tag", "alone", "relayed", "reason"),
    [
        ("nobody", OTHER, False, False, MALFORMED),
        (SID, MINE, False, False, ENDED),
        (SID, MINE, True, False, ENDED),
        (SID, OTHER, False, True, ENDED),
        (SID, OTHER, True, False, ALONE),
        (SID, OTHER, False, False, None),
    ],
)
def test_only_requests_for_sessions_of_other_nodes_are_forwarded(
    sid: str, tag: NodeTag, alone: bool, relayed: bool, reason: str | None
) -> None:
    assert why_unknown(sid, tag, alone=alone, relayed=relayed) == reason
