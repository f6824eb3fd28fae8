"""Two or three complete nodes in memory: clients reach one of them, and another owns their sessions."""

import asyncio
import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.asgi import FakeHttp
from tests.support.engine import EngineUnderTest
from tests.support.engine_nodes import BUS, EngineNodes
from tests.support.timing import wait_until
from zmqio.adapter.local import LocalAdapterFactory
from zmqio.config import EngineOptions
from zmqio.engine.handshake import ClientRequest, read_request
from zmqio.engine.http_exchange import RELAYED, Exchange
from zmqio.ids import NodeId, NodeTag
from zmqio.protocol import relay_messages as r
from zmqio.relay.flow_control import WINDOW_BYTES
from zmqio.relay.relay import Relay, join_nodes


async def test_poll_at_another_node_gets_the_packets_of_its_session() -> None:
    async with EngineNodes("here", "ther") as nodes:
        here, there = nodes[0], nodes[1]
        sid, connection = await there.open_polling()
        poll = here.get(sid)
        await wait_until(lambda: connection.session.transport.ready, "the poll at its owner")
        there.emit("hello", b"binary")
        answer = await poll
        assert (answer.status, answer.text) == (200, "4hello\x1ebYmluYXJ5")
        assert len(nodes.sent(r.HttpRequest)) == len(nodes.sent(r.HttpResponse)) == 1
        assert (await here.post(sid, "4from the client")).text == "ok"
        assert connection.messages == ["from the client"]


async def test_websocket_at_another_node_upgrades_the_session() -> None:
    async with EngineNodes("here", "ther") as nodes:
        here, there = nodes[0], nodes[1]
        sid, connection = await there.open_polling()
        there.emit("waits")
        socket = await here.upgrade(sid)
        assert await socket.receive() == "4waits"
        there.emit("hello", b"binary")
        assert await socket.receive() == "4hello"
        assert await socket.receive() == b"binary"
        socket.send("4from the client")
        socket.send(b"bytes")
        await wait_until(lambda: len(connection.messages) == 2, "both messages")
        assert connection.messages == ["from the client", b"bytes"]
        socket.close()
        await wait_until(lambda: connection.reasons, "the end")
        assert connection.reasons == ["transport close"]
        await socket.ended()


async def test_unknown_node_is_refused_at_once() -> None:
    async with EngineNodes("here", "ther") as nodes:
        answer = await nodes[0].get("nobo" + "x" * 16)
        assert answer.status == 400
        assert json.loads(answer.body) == {
            "code": 1,
            "message": "Session ID unknown",
            "node": "nobo",
            "reason": "no live node has this tag",
        }
        assert nodes.sent(r.HttpRequest) == []


async def test_session_unknown_to_its_owner_is_refused_before_its_body_is_read() -> None:
    async with EngineNodes("here", "ther") as nodes:
        query = f"EIO=4&transport=polling&sid=ther{'x' * 16}"
        answer = await FakeHttp(nodes[0].engine.handle, "POST", query, endless=True)
        assert (answer.status, json.loads(answer.body)["message"]) == (400, "Session ID unknown")


async def test_session_that_a_client_posts_to_without_end_is_closed_by_its_owner() -> None:
    async with EngineNodes("here", "ther", body_timeout_s=0.2) as nodes:
        sid, connection = await nodes[1].open_polling()
        query = f"EIO=4&transport=polling&sid={sid}"
        assert (await FakeHttp(nodes[0].engine.handle, "POST", query, endless=True)).status == 408
        await wait_until(lambda: connection.reasons, "the reason")
        assert connection.reasons == ["transport error"]


async def test_session_unknown_to_its_owner_is_refused_there_and_forwarded_once() -> None:
    async with EngineNodes("here", "ther", "thir") as nodes:
        sid = "ther" + "x" * 16
        refused = await nodes[0].get(sid)
        assert (refused.status, json.loads(refused.body)["reason"]) == (
            400,
            "session has ended, or its node was restarted",
        )
        socket = nodes[0].websocket(sid)
        await socket.ended()
        assert (socket.refusal.status, socket.refusal.body) == (400, refused.body)
        assert len(nodes.sent(r.HttpRequest)) == len(nodes.sent(r.StreamOpen)) == 1


@pytest.mark.parametrize("turns", range(4))
async def test_poll_aborted_at_another_node_ends_the_session(turns: int) -> None:
    async with EngineNodes("here", "ther") as nodes:
        here, there = nodes.nodes
        sid, connection = await there.open_polling()
        poll = here.get(sid)
        await wait_until(lambda: connection.session.transport.ready, "the poll at its owner")
        there.emit("a")
        for _ in range(turns):
            await asyncio.sleep(0)  # the hang-up meets the response on its way, or is behind it
        poll.go_away()
        await poll
        if poll.answer.complete:
            assert poll.answer.text == "4a"
            return
        await wait_until(lambda: connection.reasons, "the end")
        assert connection.reasons == ["transport close"]


@pytest.mark.parametrize("turns", range(4))
async def test_poll_by_another_node_replaces_one_that_rests_at_a_relaying_node(turns: int) -> None:
    async with EngineNodes("here", "ther", "thir") as nodes:
        here, there, third = nodes.nodes
        sid, connection = await there.open_polling()
        for later in (third, there):
            poll = here.get(sid)
            await wait_until(lambda: connection.session.transport.ready, "the poll at its owner")
            repeated = later.get(sid)
            await wait_until(lambda poll=poll: poll.answer.complete, "the end of the first")
            for _ in range(turns):
                await asyncio.sleep(0)
            there.emit("a")
            assert ((await poll).text, (await repeated).text) == ("6", "4a")
        assert connection.reasons == []


async def test_second_poll_by_the_same_node_ends_the_session() -> None:
    async with EngineNodes("here", "ther") as nodes:
        here, there = nodes.nodes
        for first in (here, there):
            sid, connection = await there.open_polling()
            poll = first.get(sid)
            await wait_until(lambda connection=connection: connection.session.transport.ready, "the first")
            assert (await here.get(sid)).status == 400
            assert (await poll).text == "1"
            assert connection.reasons == ["transport error"]


@pytest.mark.parametrize("turns", range(4))
async def test_response_that_meets_a_stopping_ingress_is_returned_to_the_session(turns: int) -> None:
    async with EngineNodes("here", "ther", "thir") as nodes:
        here, there, third = nodes.nodes
        sid, connection = await there.open_polling()
        poll = here.get(sid)
        await wait_until(lambda: connection.session.transport.ready, "the poll at its owner")
        there.emit("a")
        for _ in range(turns):
            await asyncio.sleep(0)
        here.relay.stop_ingress()
        received = (await poll).text
        if received == "6":
            received = (await third.get(sid)).text
        assert received == "4a"
        assert connection.reasons == []


async def test_confirmed_response_is_not_taken_back() -> None:
    async with EngineNodes("here", "ther") as nodes:
        here, there = nodes.nodes
        sid, connection = await there.open_polling()
        there.emit("first")
        assert (await here.get(sid)).text == "4first"
        there.emit("second")
        assert (await there.get(sid)).text == "4second"  # waits for the confirmation of the first
        there.relay.received(here.node_id, r.HttpCancel(1, False))  # as late as can be
        there.emit("third")
        assert (await there.get(sid)).text == "4third"
        assert connection.reasons == []


@pytest.mark.parametrize("knows_of_death", [True, False])
@pytest.mark.parametrize("repeats", [True, False])
async def test_nothing_is_lost_in_silence_if_the_carrier_of_a_response_dies(
    repeats: bool, knows_of_death: bool
) -> None:
    async with EngineNodes("here", "ther", "thir") as nodes:
        here, there, third = nodes.nodes
        sid, connection = await there.open_polling()
        query = f"EIO=4&transport=polling&sid={sid}&t="
        poll = FakeHttp(here.engine.handle, "GET", f"{query}1")
        await wait_until(lambda: connection.session.transport.ready, "the poll at its owner")
        here.die()
        there.emit("first")
        await wait_until(lambda: not connection.session.transport.ready, "the response")
        there.emit("second")
        if knows_of_death:
            await wait_until(lambda: third.nodes == there.nodes == 2, "the death")
        later = await FakeHttp(third.engine.handle, "GET", f"{query}{1 if repeats else 2}")
        if repeats:
            assert (later.text, connection.reasons) == ("4first\x1e4second", [])
        else:
            await wait_until(lambda: connection.reasons, "the end")
            assert connection.reasons == ["transport error"]
            assert "second" not in later.text
        poll.go_away()


async def test_malformed_or_incomplete_body_ends_the_session_as_it_does_locally() -> None:
    async with EngineNodes("here", "ther") as nodes:
        here, there = nodes.nodes
        sid, connection = await there.open_polling()
        refused = await here.post(sid, "9")
        assert (refused.status, refused.text) == (400, '{"code":3,"message":"Bad request"}')
        await wait_until(lambda: connection.reasons, "the end")
        sid, second = await there.open_polling()
        await here.post(sid, "4hel", breaks_off=True)
        await wait_until(lambda: second.reasons, "the end")
        assert (connection.reasons, second.reasons, second.messages) == (["parse error"], ["transport error"], [])


async def test_response_headers_are_those_of_the_owner() -> None:
    async with EngineNodes("here", "ther", cors_allowed_origins="*") as nodes:
        here, there = nodes.nodes
        sid, _ = await there.open_polling()
        there.emit("x" * 2_000)
        answer = await here.get(sid, headers={"origin": "http://a", "accept-encoding": "gzip"})
        assert gzip.decompress(answer.body) == b"4" + b"x" * 2_000
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_slow_handler_delays_its_post_and_not_the_node() -> None:
    go_on = asyncio.Event()

    async def wait() -> None:
        await go_on.wait()

    async with EngineNodes("here", "ther", on_message=lambda connection, data: wait()) as nodes:
        here, there = nodes.nodes
        sid, connection = await there.open_polling()
        post = asyncio.create_task(here.post(sid, "4one\x1e4two"))
        await wait_until(lambda: connection.messages, "the first")
        there.emit("meanwhile")
        assert (await here.get(sid)).text == "4meanwhile"
        assert connection.messages == ["one"]
        go_on.set()
        assert (await post).text == "ok"
        assert connection.messages == ["one", "two"]


async def test_client_that_does_not_read_is_a_slow_client_of_its_owner() -> None:
    async with EngineNodes("here", "ther", session_buffer_bytes=50_000, slow_client_grace_s=0) as nodes:
        here, there = nodes.nodes
        sid, connection = await there.open_polling()
        socket = await here.upgrade(sid)
        there.emit("ready")
        assert await socket.receive() == "4ready"
        socket.can_send.clear()
        while not connection.reasons:
            there.emit("x" * 10_000)
            await asyncio.sleep(0)
        assert connection.reasons == ["slow client"]
        await socket.ended()
        assert len(socket.sent) == 2  # the probe and `ready`: what waited is dropped with the client
        waiting = [len(message.frames) for message in nodes.sent(r.StreamData) if message.down]
        assert sum(waiting) * 10_000 < WINDOW_BYTES + 50_000


async def test_client_that_sends_faster_than_its_handlers_is_throttled() -> None:
    taken = asyncio.Semaphore(0)

    async def take() -> None:
        await taken.acquire()

    async with EngineNodes("here", "ther", on_message=lambda connection, data: take()) as nodes:
        here, there = nodes.nodes
        sid, connection = await there.open_polling()
        socket = await here.upgrade(sid)
        for _ in range(100):
            socket.send("4" + "x" * 9_999)
        await wait_until(lambda: len(nodes.sent(r.StreamData)) > 2, "the first of them")
        for _ in range(200):
            await asyncio.sleep(0)
        under_way = sum(len(message.frames) for message in nodes.sent(r.StreamData) if not message.down)
        assert under_way * 10_000 < WINDOW_BYTES + 30_000
        for _ in range(100):
            taken.release()
        await wait_until(lambda: len(connection.messages) == 100, "all of them")
        socket.close()
        await socket.ended()


async def test_death_of_the_ingress_ends_its_requests_at_the_owner() -> None:
    async with EngineNodes("here", "ther") as nodes:
        here, there = nodes.nodes
        sid, connection = await there.open_polling()
        poll = here.get(sid)
        await wait_until(lambda: connection.session.transport.ready, "the poll at its owner")
        other_sid, other = await there.open_polling()
        socket = await here.upgrade(other_sid)
        there.emit("moved", to=1)
        assert await socket.receive() == "4moved"
        here.die()
        await wait_until(lambda: other.reasons, "the end of the WebSocket")
        assert other.reasons == ["transport close"]
        await wait_until(lambda: not connection.session.transport.ready, "the end of the poll")
        assert there.relay.open_requests == 0
        there.emit("waits")
        assert (await there.get(sid)).text == "4waits"
        poll.go_away()
        socket.close()


async def test_death_of_the_owner_while_the_body_arrives_ends_the_reading() -> None:
    async with EngineNodes("here", "ther") as nodes:
        here, there = nodes.nodes
        sid, _ = await there.open_polling()
        query = f"EIO=4&transport=polling&sid={sid}"
        post = FakeHttp(here.engine.handle, "POST", query, body=b"4x", endless=True)
        await asyncio.sleep(0)
        there.die()
        refused = await post
        reason = json.loads(refused.body)["reason"]
        assert (refused.status, reason) == (400, "owner node is unreachable (silent)")
        assert "POST" not in [message.method for message in nodes.sent(r.HttpRequest)]


class NoNodes:
    """A `NodeMessenger` without other nodes; records the tags that are looked up."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def attach(self, events: object) -> None: ...

    def send_to(self, node_id: NodeId, message: r.RelayMessage) -> None: ...

    async def find(self, tag: NodeTag) -> None:
        self.found.append(tag)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_owner_is_looked_up_once(method: str) -> None:
    messenger = NoNodes()

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        exchange = Exchange(read_request(scope), receive, send, ())
        refusal = await relay.poll("ther" + "x" * 16, exchange)
        assert refusal is not None
        await exchange.refuse(refusal)

    relay = Relay(messenger, serve, EngineOptions())
    assert (await FakeHttp(serve, method, "", body=b"4x" if method == "POST" else b"")).status == 400
    assert messenger.found == ["ther"]


async def test_body_for_a_session_without_an_owner_is_not_read() -> None:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        async def never() -> dict[str, Any]:
            raise AssertionError("the body was read")

        relay = Relay(NoNodes(), serve, EngineOptions())
        exchange = Exchange(read_request(scope), never, send, ())
        refusal = await relay.poll("ther" + "x" * 16, exchange)
        assert refusal is not None
        await exchange.refuse(refusal)

    assert (await FakeHttp(serve, "POST", "", body=b"4x")).status == 400


async def test_stream_known_to_the_other_node_only_is_closed_there() -> None:
    async with EngineNodes("here", "ther") as nodes:
        here, there = nodes.nodes
        there.relay.received(here.node_id, r.StreamData(77, False, 0, ("x",)))
        there.relay.received(here.node_id, r.StreamData(77, True, 0, ("x",)))
        there.relay.received(here.node_id, r.StreamAccept(78, 1))
        # A close, a credit or a refusal is never answered, so two nodes cannot answer each other forever.
        there.relay.received(here.node_id, r.StreamClose(77, False, 1000, ""))
        there.relay.received(here.node_id, r.StreamCredit(77, False, 1))
        there.relay.received(here.node_id, r.StreamRefuse(77, 400, b""))
        there.relay.received(here.node_id, r.HttpCancel(77, True))
        there.relay.received(here.node_id, r.HttpResponse(77, 200, (), b""))
        await asyncio.sleep(0)
        assert [(close.stream_id, close.down, close.code) for close in nodes.sent(r.StreamClose)] == [
            (77, True, 1006),
            (77, False, 1006),
            (78, False, 1006),
        ]


async def test_failing_engine_is_logged_and_the_relay_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_all_but_relayed(scope: Mapping[str, Any], *others: Any) -> ClientRequest:
        if RELAYED in scope.get("extensions", {}):
            raise RuntimeError("the owner fails")
        return read_request(scope, *others)

    async with EngineNodes("here", "ther") as nodes:
        here, there = nodes.nodes
        sid, _ = await there.open_polling()
        monkeypatch.setattr("zmqio.engine.server.read_request", read_all_but_relayed)
        with capture_logs() as logs:
            assert (await here.get(sid)).status == 500
        assert [line["event"] for line in logs if line["log_level"] == "error"] == ["relayed_request_failed"]
        monkeypatch.undo()
        assert (await here.get("ther" + "x" * 16)).status == 400


PROXIED = {"origin": "https://front", "host": "inner", "x-forwarded-proto": "https", "x-forwarded-host": "front"}


@pytest.mark.parametrize(("trusted", "status"), [("127.0.0.1", 200), ("10.0.0.1", 403)])
async def test_owner_believes_the_forwarded_origin_that_the_ingress_believed(trusted: str, status: int) -> None:
    async with EngineNodes("here", "ther", trusted_proxies=trusted) as nodes:
        here, there = nodes.nodes
        sid, _ = await there.open_polling()
        there.emit("x")
        answer = await here.get(sid, headers=PROXIED)
        assert answer.status == status
        assert answer.headers.get("access-control-allow-origin") == ("https://front" if status == 200 else None)


async def test_stopping_owner_ends_polls_at_other_nodes() -> None:
    async with EngineNodes("here", "ther") as nodes:
        here, there = nodes.nodes
        sid, connection = await there.open_polling()
        poll = here.get(sid)
        await wait_until(lambda: connection.session.transport.ready, "the poll at its owner")
        await there.stop()
        assert (await poll).text == "1"
        await wait_until(lambda: here.nodes == 1, "the goodbye")
        assert json.loads((await here.get(sid)).body)["reason"] == "no live node has this tag"


async def test_request_at_a_stopping_node_is_refused_and_not_forwarded() -> None:
    async with EngineNodes("here", "ther") as nodes:
        here, there = nodes.nodes
        sid, _ = await there.open_polling()
        here.relay.stop_ingress()
        refused = await here.get(sid)
        assert (refused.status, refused.text) == (503, '{"code":3,"message":"Server shutting down"}')
        socket = here.websocket(sid)
        await socket.ended()
        assert socket.refusal.status == 503
        assert nodes.sent(r.HttpRequest) == []


async def test_body_over_the_bus_limit_is_refused_with_413_in_both_directions() -> None:
    bus = replace(BUS, max_message_bytes=3_000)
    async with EngineNodes("here", "ther", bus=bus) as nodes:
        here, there = nodes.nodes
        sid, connection = await there.open_polling()
        refused = await here.post(sid, "4" + "x" * 4_000)
        assert refused.status == 413
        assert json.loads(refused.body)["message"].endswith(
            "bytes for one message between nodes (max_message_bytes)"
        )
        assert connection.messages == []
        there.emit("x" * 4_000)
        refused = await here.get(sid)
        assert refused.status == 413
        assert (await there.get(sid)).text == "4" + "x" * 4_000  # its owner still has it


async def test_process_without_a_cluster_adapter_has_no_relay() -> None:
    async with EngineUnderTest() as host:
        assert join_nodes(LocalAdapterFactory(), host.engine) is None
        assert host.engine.unknown_sessions.forwarder is None
