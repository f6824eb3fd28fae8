"""One session: what waits, its heartbeat, and how it ends. Driven over both transports."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.engine import EngineUnderTest
from tests.support.timing import wait_until


async def _reason(connection: Any) -> str:
    await wait_until(lambda: connection.reasons, "the session to end")
    assert len(connection.reasons) == 1
    return str(connection.reasons[0])


# Bounds.


async def test_polling_client_over_the_byte_bound_is_closed_counted_and_logged_once() -> None:
    async with EngineUnderTest(session_buffer_bytes=100, slow_client_grace_s=0) as host:
        sid, connection = await host.open_polling()
        with capture_logs() as logs:
            for _ in range(30):
                host.emit("x" * 9)
        assert await _reason(connection) == "slow client"
        assert host.engine.counters["clients_dropped"] == 1
        assert [entry for entry in logs if entry["event"] == "client_dropped"] == [
            {
                "event": "client_dropped",
                "times": 1,
                "log_level": "warning",
                "sid": sid,
                "reason": "slow client",
                "buffered_bytes": 110,
                "buffered_packets": 11,
                "limit": 100,
                "option": "session_buffer_bytes",
                "grace_s": 0,
            }
        ]
        assert (await host.get(sid)).text.startswith('{"code":1,"message":"Session ID unknown","node":"node",')


async def test_polling_client_over_the_packet_bound_is_closed() -> None:
    async with EngineUnderTest(session_buffer_packets=3, slow_client_grace_s=0) as host:
        _, connection = await host.open_polling()
        for text in "abc":
            host.emit(text)
        assert connection.session.closed is False
        with capture_logs() as logs:
            host.emit("d")
        assert (await _reason(connection), logs[0]["option"]) == ("slow client", "session_buffer_packets")


async def test_one_piece_larger_than_the_bound_is_delivered() -> None:
    async with EngineUnderTest(session_buffer_bytes=100) as host:
        sid, _ = await host.open_polling()
        host.emit("x" * 1000)
        assert (await host.get(sid)).text == "4" + "x" * 1000


async def test_websocket_client_that_stops_reading_is_closed() -> None:
    async with EngineUnderTest(session_buffer_bytes=100, slow_client_grace_s=0) as host:
        socket, connection = await host.open_websocket()
        socket.can_send.clear()
        with capture_logs():
            for _ in range(30):
                host.emit("x" * 9)
        assert await _reason(connection) == "slow client"
        await socket.ended()  # no task is left waiting for a client that does not read
        assert len(asyncio.all_tasks()) == 1


async def test_client_over_the_limits_is_closed_when_its_grace_period_is_over() -> None:
    async with EngineUnderTest(session_buffer_bytes=100, slow_client_grace_s=0.05) as host:
        _, connection = await host.open_polling()
        for _ in range(30):
            host.emit("x" * 9)
        assert connection.session.closed is False
        assert await _reason(connection) == "slow client"
        assert host.engine.counters["clients_dropped"] == 1


async def test_client_that_fetches_within_the_grace_period_stays() -> None:
    async with EngineUnderTest(session_buffer_packets=3, slow_client_grace_s=0.3) as host:
        sid, connection = await host.open_polling()
        for text in "abcdef":
            host.emit(text)
        assert (await host.get(sid)).text == "\x1e".join(f"4{text}" for text in "abcdef")
        _, slow = await host.open_polling()
        for text in "abcdef":
            host.emit(text, to=1)
        await wait_until(lambda: slow.reasons, "the end of the other session")
        assert connection.reasons == []


async def test_the_client_with_most_is_dropped_when_slow_clients_together_have_too_much() -> None:
    async with EngineUnderTest(session_buffer_bytes=1_000, slow_clients_bytes=4 << 20) as host:
        connections = [(await host.open_polling())[1] for _ in range(3)]
        with capture_logs() as logs:
            for to, megabytes in enumerate((1, 2, 3)):
                for _ in range(2):
                    host.emit("x" * (megabytes << 19), to=to)
        assert await _reason(connections[2]) == "slow client"
        assert [connection.reasons for connection in connections[:2]] == [[], []]
        (entry,) = [entry for entry in logs if entry["event"] == "client_dropped"]
        assert (entry["option"], entry["limit"]) == ("slow_clients_bytes", 4 << 20)
        assert host.engine.counters["clients_dropped"] == 1


async def test_history_beyond_the_limits_reaches_a_polling_client_that_fetches_it() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        pieces = [f"{number}:{'x' * 600_000}" for number in range(4)]
        for piece in pieces:
            host.emit(piece)
        for number in range(15_000):
            host.emit(str(number))
        received: list[str] = []
        while len(received) < 15_004:
            received += (await host.get(sid)).text.split("\x1e")
        assert received == [f"4{piece}" for piece in pieces] + [f"4{number}" for number in range(15_000)]
        assert connection.reasons == []


@pytest.mark.parametrize(
    "options", [{"session_buffer_bytes": 10, "max_payload_bytes": 24}, {"session_buffer_packets": 8}]
)
async def test_client_far_over_the_limits_is_closed_at_once(options: dict[str, int]) -> None:
    async with EngineUnderTest(**options) as host:
        _, connection = await host.open_polling()
        for _ in range(80):
            host.emit("xx")
        assert connection.session.closed is False
        host.emit("xx")
        assert connection.session.closed is True


async def test_buffered_bytes_follow_what_waits() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        host.emit("abc", b"de")
        assert connection.session.buffered_bytes == 6
        await host.get(sid)
        assert connection.session.buffered_bytes == 0


# Volatile.


async def test_volatile_packet_is_never_buffered_for_an_absent_poll() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        host.emit("lost", volatile=True)
        assert connection.session.buffered_bytes == 0
        assert host.engine.counters["volatile_client_messages_dropped"] == 1
        host.emit("kept")
        assert (await host.get(sid)).text == "4kept"


async def test_volatile_packet_reaches_a_poll_that_waits() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        poll = host.get(sid)
        await wait_until(lambda: connection.session.transport.ready, "the poll to wait")
        host.emit("a", volatile=True)
        host.emit("b", volatile=True)
        assert (await poll).text == "4a\x1e4b"


async def test_volatile_packets_are_dropped_while_a_websocket_takes_nothing() -> None:
    async with EngineUnderTest() as host:
        socket, _ = await host.open_websocket()
        host.emit("a", volatile=True)
        assert await socket.receive() == "4a"
        socket.can_send.clear()
        host.emit("b")  # waits in the connection
        host.emit("c", volatile=True)
        host.emit("d")
        socket.can_send.set()
        assert [await socket.receive(), await socket.receive()] == ["4b", "4d"]


# Closing.


async def test_close_soon_delivers_what_waits_and_then_a_close_packet() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        host.emit("a")
        connection.session.close_soon("forced close")
        host.emit("too late")
        assert connection.session.closed is False
        assert (await host.get(sid)).text == "4a"
        assert connection.session.closed is False
        # Alone in its body: the JavaScript client handles CLOSE before the messages that came with it.
        assert (await host.get(sid)).text == "1"
        assert await _reason(connection) == "forced close"
        assert (await host.get(sid)).status == 400


async def test_close_soon_answers_a_waiting_poll() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        poll = host.get(sid)
        await wait_until(lambda: connection.session.transport.ready, "the poll to wait")
        connection.session.close_soon("forced close")
        assert (await poll).text == "1"
        assert await _reason(connection) == "forced close"


async def test_close_soon_gives_up_on_a_client_that_does_not_fetch_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.engine.session.CLOSE_LIMIT_S", 0.02)
    async with EngineUnderTest() as host:
        _, connection = await host.open_polling()
        connection.session.close_soon("forced close")
        assert await _reason(connection) == "forced close"
        assert dict(host.engine.sessions) == {}


async def test_close_soon_sends_what_a_websocket_still_waits_for() -> None:
    async with EngineUnderTest() as host:
        socket, connection = await host.open_websocket()
        socket.can_send.clear()
        host.emit("a")
        host.emit("b")
        connection.session.close_soon("forced close")
        socket.can_send.set()
        assert [await socket.receive(), await socket.receive()] == ["4a", "4b"]
        await socket.ended()
        assert (socket.close_code, await _reason(connection)) == (1000, "forced close")


async def test_packets_of_a_closing_client_are_ignored() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        connection.session.close_soon("forced close")
        await host.post(sid, "4a")
        assert connection.messages == []


async def test_closed_is_called_once_and_never_inside_the_call_that_ends() -> None:
    async with EngineUnderTest() as host:
        _, connection = await host.open_polling()
        connection.session.end("transport error")
        connection.session.end("transport close")
        connection.session.close_soon("forced close")
        assert connection.reasons == []
        assert connection.session.closed is True
        assert await _reason(connection) == "transport error"


async def test_writing_to_a_session_that_has_ended_does_nothing() -> None:
    async with EngineUnderTest() as host:
        _, connection = await host.open_polling()
        connection.session.end("transport error")
        host.emit("a")
        host.emit("b", volatile=True)
        assert connection.session.buffered_bytes == 0


async def test_layer_above_may_end_the_session_from_within_a_message() -> None:
    def on_message(connection: Any, _: Any) -> None:
        connection.session.write(host.engine.prepare(["bye"]))
        connection.session.close_soon("forced close")

    async with EngineUnderTest(on_message) as host:
        socket, connection = await host.open_websocket()
        socket.send("4a")
        socket.send("4b")
        assert await socket.receive() == "4bye"
        await socket.ended()
        assert (connection.messages, await _reason(connection)) == (["a"], "forced close")


async def test_message_that_fails_is_logged_and_the_session_continues() -> None:
    def on_message(_: Any, data: str | bytes) -> Any:
        if data == "now":
            raise ValueError("boom")
        return _later() if data == "later" else None

    async def _later() -> None:
        raise ValueError("boom")

    async with EngineUnderTest(on_message) as host:
        sid, connection = await host.open_polling()
        with capture_logs() as logs:
            assert (await host.post(sid, "4now\x1e4later\x1e4fine")).text == "ok"
        assert [entry["event"] for entry in logs] == ["message_handler_failed", "message_handler_failed"]
        assert connection.messages == ["now", "later", "fine"]
        assert host.engine.counters["messages_failed"] == 2


# Heartbeat.


async def test_server_pings_and_a_client_that_answers_stays() -> None:
    async with EngineUnderTest(ping_interval_s=0.01, ping_timeout_s=30) as host:
        socket, connection = await host.open_websocket()
        for _ in range(3):
            assert await socket.receive() == "2"
            socket.send("3")
        assert connection.reasons == []


async def test_ping_reaches_a_polling_client() -> None:
    async with EngineUnderTest(ping_interval_s=0.01, ping_timeout_s=30) as host:
        sid, connection = await host.open_polling()
        for _ in range(3):
            assert (await host.get(sid)).text == "2"
            await host.post(sid, "3")
        assert connection.reasons == []


async def test_silent_websocket_is_closed_with_ping_timeout() -> None:
    async with EngineUnderTest(ping_interval_s=0.01, ping_timeout_s=0.01) as host:
        socket, connection = await host.open_websocket()
        await socket.ended()
        assert await _reason(connection) == "ping timeout"


async def test_polling_client_that_polls_but_never_answers_is_closed_and_its_poll_released() -> None:
    async with EngineUnderTest(ping_interval_s=0.01, ping_timeout_s=0.5) as host:
        sid, connection = await host.open_polling()
        assert (await host.get(sid)).text == "2"
        assert (await host.get(sid)).text == "1"
        assert await _reason(connection) == "ping timeout"
        assert (await host.get(sid)).status == 400


async def test_other_packets_extend_the_wait_for_an_answer_only_once() -> None:
    async with EngineUnderTest(ping_interval_s=0.01, ping_timeout_s=0.03) as host:
        socket, connection = await host.open_websocket()
        assert await socket.receive() == "2"
        while not connection.reasons:  # talks all the time, and never answers
            socket.send("4a")
            await asyncio.sleep(0.005)
        assert connection.reasons == ["ping timeout"]


async def test_ping_from_a_client_is_in_the_wrong_direction() -> None:
    async with EngineUnderTest() as host:
        socket, connection = await host.open_websocket()
        socket.send("2")
        await socket.ended()
        assert await _reason(connection) == "transport error"


# Packets over a WebSocket.


@pytest.mark.parametrize("packet", ["0", "5", "6"])
async def test_packets_without_meaning_are_passed_over(packet: str) -> None:
    async with EngineUnderTest() as host:
        socket, connection = await host.open_websocket()
        socket.send(packet)
        socket.send("4a")
        await wait_until(lambda: connection.messages == ["a"], "the message")
        assert connection.reasons == []


@pytest.mark.parametrize("packet", ["", "abc", "8", "b*"])
async def test_malformed_websocket_packet_closes_the_session(packet: str) -> None:
    async with EngineUnderTest() as host:
        socket, connection = await host.open_websocket()
        socket.send(packet)
        await socket.ended()
        assert (await _reason(connection), connection.messages) == ("parse error", [])


async def test_base64_text_on_a_websocket_is_a_binary_message() -> None:
    async with EngineUnderTest() as host:
        socket, connection = await host.open_websocket()
        socket.send("bAQIDBA==")
        socket.send(b"\x05")
        await wait_until(lambda: len(connection.messages) == 2, "both messages")
        assert connection.messages == [b"\x01\x02\x03\x04", b"\x05"]


async def test_close_packet_on_a_websocket_closes_it() -> None:
    async with EngineUnderTest() as host:
        socket, connection = await host.open_websocket()
        socket.send("1")
        await socket.ended()
        assert await _reason(connection) == "transport close"


@pytest.mark.parametrize("message", ["4" + "x" * 10, b"x" * 11, "4" + "€" * 4])
async def test_websocket_message_over_max_payload_closes_with_1009(message: str | bytes) -> None:
    async with EngineUnderTest(max_payload_bytes=10) as host:
        socket, connection = await host.open_websocket()
        with capture_logs() as logs:
            socket.send(message)
            await socket.ended()
        assert (socket.close_code, await _reason(connection)) == (1009, "transport error")
        assert [entry["option"] for entry in logs if entry["event"] == "packet_rejected"] == ["max_payload_bytes"]
        assert connection.messages == []


@pytest.mark.parametrize("message", ["4" + "x" * 9, b"x" * 10, "4" + "€" * 3])
async def test_websocket_message_of_exactly_max_payload_is_taken(message: str | bytes) -> None:
    async with EngineUnderTest(max_payload_bytes=10) as host:
        socket, connection = await host.open_websocket()
        socket.send(message)
        await wait_until(lambda: connection.messages, "the message")


# python-engineio's own interface.


async def test_interface_of_the_base_class_works() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        await host.engine.send(sid, "text")
        await host.engine.send(sid, b"\x01")
        await host.engine.send(sid, {"a": 1})
        assert (await host.get(sid)).text == '4text\x1ebAQ==\x1e4{"a":1}'
        assert host.engine.transport(sid) == "polling"
        await host.engine.disconnect(sid)
        assert (await host.get(sid)).text == "1"
        assert await _reason(connection) == "forced close"
