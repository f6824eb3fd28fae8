"""The polling transport: waiting GETs, POSTs with packets, and refusals."""

import asyncio
import gzip
import zlib
from typing import Any

import pytest

from tests.support.asgi import FakeHttp
from tests.support.engine import EngineUnderTest
from tests.support.timing import wait_until
from zmqio.engine.incomplete_bodies import MAX_INCOMPLETE_BYTES

UNKNOWN = (
    '{"code":1,"message":"Session ID unknown","node":"node",'
    '"reason":"session has ended, or its node was restarted"}'
)
BAD_REQUEST = '{"code":3,"message":"Bad request"}'


async def _waiting_poll(host: EngineUnderTest, sid: str, **options: Any) -> FakeHttp:
    poll = host.get(sid, **options)
    session = host.engine.sessions[sid]
    await wait_until(lambda: session.transport.ready, "the poll to wait")
    return poll


async def test_poll_waits_until_something_is_sent() -> None:
    async with EngineUnderTest() as host:
        sid, _ = await host.open_polling()
        poll = await _waiting_poll(host, sid)
        host.emit("hello")
        answer = await poll
        assert (answer.status, answer.text) == (200, "4hello")
        assert answer.headers["content-type"] == "text/plain; charset=UTF-8"


async def test_poll_takes_everything_that_waits_in_order() -> None:
    async with EngineUnderTest() as host:
        sid, _ = await host.open_polling()
        host.emit("a", b"\x01\x02\x03\x04")
        host.emit("b")
        assert (await host.get(sid)).text == "4a\x1ebAQIDBA==\x1e4b"
        assert host.connections[0].session.buffered_bytes == 0


async def test_poll_takes_no_more_than_max_payload_at_once() -> None:
    async with EngineUnderTest(max_payload_bytes=10) as host:
        sid, _ = await host.open_polling()
        for text in ("aaa", "bbb", "ccc"):
            host.emit(text)
        assert [(await host.get(sid)).text for _ in range(2)] == ["4aaa\x1e4bbb", "4ccc"]


@pytest.mark.parametrize("packets", [0, 1])
async def test_aborted_poll_ends_the_session(packets: int) -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        poll = await _waiting_poll(host, sid)
        for _ in range(packets):
            host.emit("a")
        poll.go_away()  # in the same moment
        assert (await poll).complete is False
        assert (await host.get(sid)).text == UNKNOWN
        assert connection.reasons == ["transport close"]


async def test_poll_that_arrives_from_a_client_already_gone_ends_the_session() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        host.emit("a")
        poll = host.get(sid)
        poll.go_away()
        assert (await poll).complete is False
        assert (await host.get(sid)).text == UNKNOWN
        assert connection.reasons == ["transport close"]


async def test_aborted_poll_of_a_session_that_has_left_polling_ends_nothing() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        socket = host.websocket(sid)
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        poll = host.get(sid)
        socket.send("5")
        await wait_until(lambda: connection.session.transport_name == "websocket", "the upgrade")
        poll.go_away()
        await poll
        host.emit("a")
        assert await socket.receive() == "4a"
        assert connection.reasons == []


async def test_answer_that_could_not_be_sent_ends_the_session() -> None:
    async def broken(_message: dict[str, Any]) -> None:
        raise OSError("broken pipe")

    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        host.emit("a")
        assert (await host.get(sid, on_send=broken)).complete is False
        assert (await host.get(sid)).text == UNKNOWN
        assert connection.reasons == ["transport close"]


async def test_packets_of_a_cancelled_answer_go_back_to_the_front() -> None:
    async def stuck(_message: dict[str, Any]) -> None:
        sending.set()
        await asyncio.Event().wait()

    async with EngineUnderTest() as host:
        sending = asyncio.Event()
        sid, _ = await host.open_polling()
        host.emit("a")
        poll = host.get(sid, on_send=stuck)
        await sending.wait()
        host.emit("b")
        poll.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await poll
        assert (await host.get(sid)).text == "4a\x1e4b"


async def test_second_poll_is_refused_and_closes_the_session() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        first = await _waiting_poll(host, sid)
        second = await host.get(sid)
        assert (second.status, second.text) == (400, BAD_REQUEST)
        assert ((await first).status, (await first).text) == (200, "1")
        assert (await host.get(sid)).text == UNKNOWN
        await wait_until(lambda: connection.reasons, "the reason")
        assert connection.reasons == ["transport error"]


async def test_posted_packets_arrive_in_order_and_are_answered_ok() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        answer = await host.post(sid, "4test1\x1ebAQIDBA==\x1e4é€")
        assert (answer.status, answer.text, answer.headers["content-type"]) == (200, "ok", "text/html")
        assert connection.messages == ["test1", b"\x01\x02\x03\x04", "é€"]


@pytest.mark.parametrize("text", ["true", "12", '{"a":1}', "null", " x "])
async def test_text_is_not_parsed_on_the_way_in(text: str) -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        await host.post(sid, "4" + text)
        assert connection.messages == [text]


@pytest.mark.parametrize("body", ["abc", "", "9", "4a\x1e", b"4\xff\xfe", "b*"])
async def test_malformed_body_is_answered_400_and_closes_the_session(body: str | bytes) -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        answer = await host.post(sid, body)
        assert (answer.status, answer.text) == (400, BAD_REQUEST)
        assert (await host.get(sid)).text == UNKNOWN
        await wait_until(lambda: connection.reasons, "the reason")
        assert connection.reasons == ["parse error"]


async def test_malformed_body_releases_a_waiting_poll() -> None:
    async with EngineUnderTest() as host:
        sid, _ = await host.open_polling()
        poll = await _waiting_poll(host, sid)
        await host.post(sid, "abc")
        assert (await poll).text == "1"


async def test_more_packets_than_allowed_close_the_session_and_none_is_taken() -> None:
    async with EngineUnderTest(max_payload_packets=2) as host:
        sid, connection = await host.open_polling()
        assert (await host.post(sid, "4a\x1e4b")).text == "ok"
        assert (await host.post(sid, "4c\x1e4d\x1e4e")).status == 400
        await wait_until(lambda: connection.reasons, "the reason")
        assert (connection.messages, connection.reasons) == (["a", "b"], ["parse error"])


async def test_a_thousand_packets_in_one_body_are_taken() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        assert (await host.post(sid, "\x1e".join(f"4{n}" for n in range(1000)))).text == "ok"
        assert connection.messages == [str(n) for n in range(1000)]


@pytest.mark.parametrize("headers", [{}, {"content-length": "12"}])
async def test_body_over_the_limit_is_answered_413_and_the_session_continues(headers: dict[str, str]) -> None:
    async with EngineUnderTest(max_payload_bytes=10) as host:
        sid, connection = await host.open_polling()
        answer = await host.post(sid, "4" + "x" * 11, headers=headers)
        assert answer.status == 413
        assert "max_payload_bytes" in answer.text
        assert (await host.post(sid, "4" + "x" * 9)).text == "ok"
        assert connection.messages == ["x" * 9]


async def test_body_that_breaks_off_closes_the_session() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        await host.post(sid, "4half", breaks_off=True)
        await wait_until(lambda: connection.reasons, "the reason")
        assert (connection.messages, connection.reasons) == ([], ["transport error"])


PART = bytes(MAX_INCOMPLETE_BYTES * 2 // 5)
"""Two such parts of bodies fit into the memory of all incomplete bodies; three do not."""


async def _begin_post(host: EngineUnderTest, sid: str, *parts: bytes) -> FakeHttp:
    """A POST whose body does not end."""
    query = f"EIO=4&transport=polling&sid={sid}"
    post = FakeHttp(host.engine.handle, "POST", query, body=parts or b"", endless=True)
    session = host.engine.sessions[sid]
    await wait_until(lambda: session.abort_post is not None, "the body to be read")
    return post


async def test_body_without_end_is_answered_408_and_closes_session_and_connection() -> None:
    async with EngineUnderTest(body_timeout_s=0.01) as host:
        sid, connection = await host.open_polling()
        answer = await (await _begin_post(host, sid))
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert "body_timeout_s" in answer.text
        await wait_until(lambda: connection.reasons, "the reason")
        assert (connection.messages, connection.reasons) == ([], ["transport error"])
        assert host.engine.counters["bodies_timed_out"] == 1


async def test_oldest_body_is_displaced_when_all_take_too_much_memory() -> None:
    async with EngineUnderTest(max_payload_bytes=MAX_INCOMPLETE_BYTES) as host:
        posts = []
        for _ in range(3):
            sid, connection = await host.open_polling()
            posts.append((await _begin_post(host, sid, PART), connection))
        answer = await posts[0][0]
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert posts[0][1].reasons == ["transport error"]
        assert (posts[1][1].reasons, posts[2][1].reasons) == ([], [])
        assert host.engine.counters["bodies_displaced"] == 1
        assert host.engine.counters["bodies_timed_out"] == 0


async def test_end_of_the_session_ends_the_reading_of_a_body() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        post = await _begin_post(host, sid)
        connection.session.end("forced close")
        answer = await post
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert host.engine.counters["bodies_timed_out"] == 0


async def test_end_of_an_upgraded_session_ends_the_reading_of_an_earlier_body() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        post = await _begin_post(host, sid)
        await host.upgrade(sid)
        await wait_until(lambda: connection.session.transport_name == "websocket", "the upgrade")
        connection.session.end("forced close")
        assert (await post).status == 400


async def test_unknown_session_is_answered_before_the_body_is_read() -> None:
    async with EngineUnderTest() as host:
        answer = await FakeHttp(host.engine.handle, "POST", "EIO=4&transport=polling&sid=nodex", endless=True)
        assert answer.status == 400


async def test_binary_body_is_refused_and_closes_the_session() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        answer = await host.post(sid, "4a", headers={"content-type": "application/octet-stream"})
        assert answer.status == 400
        await wait_until(lambda: connection.reasons, "the reason")
        assert connection.reasons == ["transport error"]


async def test_post_is_answered_only_when_its_packets_are_accepted_one_after_the_other() -> None:
    gates = {"a": asyncio.Event(), "b": asyncio.Event()}

    def on_message(_: Any, data: str | bytes) -> Any:
        return gates[str(data)].wait()

    async with EngineUnderTest(on_message) as host:
        sid, connection = await host.open_polling()
        post = asyncio.ensure_future(host.post(sid, "4a\x1e4b"))
        await wait_until(lambda: connection.messages == ["a"], "the first packet")
        gates["a"].set()
        await wait_until(lambda: connection.messages == ["a", "b"], "the second packet")
        assert not post.done()
        gates["b"].set()
        assert (await post).text == "ok"


async def test_second_post_at_the_same_time_is_refused_and_closes_the_session() -> None:
    gate = asyncio.Event()

    async def wait(*_: Any) -> None:
        await gate.wait()

    async with EngineUnderTest(wait) as host:
        sid, connection = await host.open_polling()
        first = asyncio.ensure_future(host.post(sid, "4a"))
        await wait_until(lambda: connection.messages, "the first packet")
        assert (await host.post(sid, "4b")).status == 400
        gate.set()
        await first
        await wait_until(lambda: connection.reasons, "the reason")
        assert connection.reasons == ["transport error"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_bad_requests(method: str) -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        answer = await FakeHttp(host.engine.handle, method, f"EIO=4&transport=polling&sid={sid}")
        assert (answer.status, answer.text) == (400, BAD_REQUEST)
        assert connection.reasons == []


async def test_client_closes_with_a_close_packet_and_its_poll_ends_with_a_noop() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        poll = await _waiting_poll(host, sid)
        assert (await host.post(sid, "4last\x1e1\x1e4too late")).text == "ok"
        assert (await poll).text == "6"
        assert (await host.get(sid)).status == 400
        await wait_until(lambda: connection.reasons, "the reason")
        assert (connection.messages, connection.reasons) == (["last"], ["transport close"])


@pytest.mark.parametrize(("encoding", "decode"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
async def test_large_answer_is_compressed_as_the_client_accepts(encoding: str, decode: Any) -> None:
    async with EngineUnderTest(compression_threshold_bytes=100) as host:
        sid, _ = await host.open_polling()
        host.emit("x" * 100)
        answer = await host.get(sid, headers={"accept-encoding": f"br, {encoding}"})
        assert answer.headers["content-encoding"] == encoding
        assert answer.headers["content-length"] == str(len(answer.body))
        assert decode(answer.body) == b"4" + b"x" * 100


async def test_small_answer_is_not_compressed() -> None:
    async with EngineUnderTest(compression_threshold_bytes=100) as host:
        sid, _ = await host.open_polling()
        host.emit("x" * 98)
        answer = await host.get(sid, headers={"accept-encoding": "gzip"})
        assert "content-encoding" not in answer.headers


async def test_compression_can_be_switched_off() -> None:
    async with EngineUnderTest(http_compression=False) as host:
        sid, _ = await host.open_polling()
        host.emit("x" * 5000)
        answer = await host.get(sid, headers={"accept-encoding": "gzip"})
        assert "content-encoding" not in answer.headers
