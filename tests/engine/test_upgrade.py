"""Moving from polling to WebSocket: the probe, its limits, and nothing lost or doubled."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.engine import EngineUnderTest
from tests.support.timing import wait_until

BAD_REQUEST = '{"code":3,"message":"Bad request"}'


async def test_waiting_poll_is_ended_with_a_noop_after_the_probe() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        poll = host.get(sid)
        await wait_until(lambda: connection.session.transport.ready, "the poll to wait")
        socket = host.websocket(sid)
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        assert (await poll).text == "6"
        assert connection.session.transport_name == "polling"
        socket.send("5")
        await wait_until(lambda: connection.session.transport_name == "websocket", "the upgrade")


async def test_poll_that_arrives_during_the_probe_is_ended_with_a_noop() -> None:
    async with EngineUnderTest() as host:
        sid, _ = await host.open_polling()
        socket = host.websocket(sid)
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        assert (await host.get(sid)).text == "6"


async def test_poll_during_the_probe_still_brings_messages() -> None:
    async with EngineUnderTest() as host:
        sid, _ = await host.open_polling()
        socket = host.websocket(sid)
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        host.emit("a")
        assert (await host.get(sid)).text == "4a"


async def test_first_message_on_the_websocket_is_no_stray_noop() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        socket = await host.upgrade(sid)
        await wait_until(lambda: connection.session.upgraded, "the upgrade")
        host.emit("hello")
        assert await socket.receive() == "4hello"
        assert socket.sent == ["3probe", "4hello"]


async def test_what_waits_leaves_through_the_websocket_first() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        host.emit("a")
        socket = await host.upgrade(sid)
        host.emit("b", b"\x01")
        await wait_until(lambda: connection.session.upgraded, "the upgrade")
        host.emit("c")
        assert [await socket.receive() for _ in range(4)] == ["4a", "4b", b"\x01", "4c"]


async def test_messages_right_behind_the_upgrade_packet_arrive() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        socket = host.websocket(sid)
        for packet in ("2probe", "5", "4a", "4b"):
            socket.send(packet)
        await wait_until(lambda: connection.messages == ["a", "b"], "both messages")


async def test_get_right_behind_the_upgrade_is_refused() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        socket = host.websocket(sid)
        socket.send("2probe")
        socket.send("5")
        answer = await host.get(sid)  # it may overtake the frames on its own connection
        assert (answer.status, answer.text) == (400, BAD_REQUEST)
        socket.send("4hello")
        await wait_until(lambda: connection.messages == ["hello"], "the message")


async def test_post_after_the_upgrade_is_refused() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        await host.upgrade(sid)
        await wait_until(lambda: connection.session.upgraded, "the upgrade")
        assert (await host.post(sid, "4a")).text == BAD_REQUEST
        assert (connection.messages, connection.reasons) == ([], [])


@pytest.mark.parametrize("finished", [True, False])
async def test_second_websocket_is_accepted_and_closed_and_the_first_continues(finished: bool) -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        socket = host.websocket(sid)
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        if finished:
            socket.send("5")
            await wait_until(lambda: connection.session.upgraded, "the upgrade")
        second = host.websocket(sid)
        await second.ended()
        assert (second.accepted, second.close_code, second.sent) == (True, 1000, [])
        if not finished:
            socket.send("5")
        socket.send("4hello")
        await wait_until(lambda: connection.messages == ["hello"], "the message")


async def test_probe_that_takes_too_long_is_closed_and_polling_continues() -> None:
    async with EngineUnderTest(upgrade_timeout_s=0.02) as host:
        sid, connection = await host.open_polling()
        socket = host.websocket(sid)
        socket.send("2probe")
        with capture_logs() as logs:
            await socket.ended()
        assert socket.close_code == 1000
        assert [entry["event"] for entry in logs] == ["upgrade_timed_out"]
        host.emit("a")
        assert (await host.get(sid)).text == "4a"
        assert connection.reasons == []


async def test_end_of_the_session_ends_its_probe_without_a_time_out_in_the_log() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        socket = host.websocket(sid)
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        with capture_logs() as logs:
            connection.session.end("forced close")
            await socket.ended()
        assert (socket.close_code, logs) == (1000, [])


@pytest.mark.parametrize("packet", ["4hello", "2", "3probe", "", b"\x01"])
async def test_packet_other_than_a_probe_closes_the_websocket_and_polling_continues(packet: str | bytes) -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        socket = host.websocket(sid)
        socket.send(packet)
        await socket.ended()
        assert (socket.close_code, socket.sent, connection.messages) == (1000, [], [])
        host.emit("a")
        assert (await host.get(sid)).text == "4a"


async def test_client_that_leaves_during_the_probe_can_try_again() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        socket = host.websocket(sid)
        socket.send("2probe")
        await socket.receive()
        socket.close()
        await socket.ended()
        await host.upgrade(sid)
        await wait_until(lambda: connection.session.upgraded, "the upgrade")
        assert connection.reasons == []


async def test_upgrade_whose_acceptance_fails_can_be_tried_again() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        socket = host.websocket(sid)
        socket.fails_with = OSError("the client has disconnected")
        await socket.ended()
        assert not connection.session.upgrading
        await host.upgrade(sid)
        await wait_until(lambda: connection.session.upgraded, "the upgrade")


async def test_session_that_ends_in_the_turn_of_its_upgrade_limit_is_forgotten() -> None:
    async with EngineUnderTest(upgrade_timeout_s=3600) as host:
        sid, connection = await host.open_polling()
        socket = host.websocket(sid)
        socket.send("2probe")
        await socket.receive()
        session = connection.session
        loop = asyncio.get_running_loop()
        assert session.probe_limit is not None
        session.probe_limit.reschedule(loop.time())  # its timer runs before what is called later
        loop.call_later(0, session.end, "transport error")
        await socket.ended()
        await wait_until(lambda: connection.reasons == ["transport error"], "the reason")
        assert sid not in host.engine.sockets


async def test_session_that_ends_during_the_probe_closes_the_websocket() -> None:
    async with EngineUnderTest(upgrade_timeout_s=3600) as host:
        sid, connection = await host.open_polling()
        socket = host.websocket(sid)
        socket.send("2probe")
        await socket.receive()
        connection.session.end("transport error")
        await socket.ended()
        assert socket.close_code == 1000


async def test_session_that_ends_while_the_websocket_is_accepted_closes_it() -> None:
    async with EngineUnderTest(upgrade_timeout_s=3600) as host:
        sid, connection = await host.open_polling()
        socket = host.websocket(sid)
        socket.can_send.clear()
        await wait_until(lambda: connection.session.upgrading, "the acceptance")
        connection.session.end("transport error")
        socket.can_send.set()
        await socket.ended()
        assert (socket.accepted, socket.close_code) == (True, 1000)


async def test_session_that_is_being_closed_delivers_the_rest_after_the_upgrade() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        host.emit("a")
        connection.session.close_soon("forced close")
        socket = await host.upgrade(sid)
        assert await socket.receive() == "4a"
        await socket.ended()
        await wait_until(lambda: connection.reasons, "the reason")
        assert (socket.close_code, connection.reasons) == (1000, ["forced close"])


async def test_upgrade_is_not_offered_when_it_is_switched_off() -> None:
    async with EngineUnderTest(allow_upgrades=False) as host:
        answer = await host.get("")
        assert '"upgrades":[]' in answer.text


async def test_upgrade_is_not_offered_without_the_websocket_transport() -> None:
    async with EngineUnderTest(transports=["polling"]) as host:
        assert '"upgrades":[]' in (await host.get("")).text


async def test_stream_in_both_directions_survives_the_upgrade_in_its_middle() -> None:
    total = 300
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        received: list[str] = []

        async def server_side() -> None:
            for number in range(total):
                host.emit(f"s{number}")
                if number % 3 == 0:
                    await asyncio.sleep(0)

        async def polling_side(until: int) -> None:
            while len(received) < until:
                answer = await host.get(sid)
                received.extend(record[1:] for record in answer.text.split("\x1e") if record != "6")

        sender = asyncio.ensure_future(server_side())
        await asyncio.gather(polling_side(total // 4), _post_numbers(host, sid, 0, 100))
        socket = host.websocket(sid)
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        socket.send("5")
        for number in range(100, 200):
            socket.send(f"4c{number}")
        while len(received) < total:
            received.append(str(await socket.receive())[1:])
        await sender
        await wait_until(lambda: len(connection.messages) == 200, "the client's messages")
        assert received == [f"s{number}" for number in range(total)]
        assert connection.messages == [f"c{number}" for number in range(200)]


async def _post_numbers(host: EngineUnderTest, sid: str, begin: int, end: int) -> Any:
    for number in range(begin, end):
        assert (await host.post(sid, f"4c{number}")).text == "ok"


async def test_upgrade_is_reported_once_and_not_for_a_session_that_began_as_websocket() -> None:
    async with EngineUnderTest() as host:
        sid, connection = await host.open_polling()
        await host.upgrade(sid)
        await wait_until(lambda: connection.session.upgraded, "the upgrade")
        _, direct = await host.open_websocket()
        assert (connection.upgrades, direct.upgrades) == (1, 0)
