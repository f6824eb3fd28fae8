"""Tests of `zmqio.python_socketio.async_host`: how clients of a `socketio.AsyncServer` are closed."""

import structlog

from tests.support.psio_harness import ManagedServer
from tests.support.timing import wait_until


async def test_a_slow_client_is_dropped_and_its_packets_freed() -> None:
    async with ManagedServer(session_buffer_packets=10, slow_client_grace_s=0) as node:
        reasons: list[str] = []
        node.sio.on("disconnect", lambda sid, reason: reasons.append(reason))
        await node.connect("slow")
        await node.connect("quick")
        for number in range(200):
            await node.sio.emit("flood", number)
            node.packets("quick")
        await wait_until(lambda: reasons == ["transport error"], "the disconnect handler")
        assert node.packets("slow") == []
        assert node.manager.health().details["counters"]["python_socketio"] == {"clients_dropped": 1}
        assert await node.manager.cluster().fetch_sockets() != []


async def test_closing_a_connection_leaves_all_its_namespaces() -> None:
    async with ManagedServer() as node:
        await node.connect("eio")
        await node.connect("eio", "/chat")
        await node.manager.cluster().disconnect_sockets(close=True)
        await wait_until(lambda: node.sio.eio.sockets["eio"].closed, "the end of the connection")
        assert node.packets("eio") == ["41", "41/chat", "1"] or node.packets("eio") == []
        assert node.manager.rooms == {}


async def test_an_error_of_a_callback_is_logged() -> None:
    def fails(*args: object) -> None:
        raise ValueError("no")

    async with ManagedServer() as node:
        sid = await node.connect("eio")
        with structlog.testing.capture_logs() as lines:
            await node.sio.emit("ask", to=sid, callback=fails)
            assert await node.wait_packets("eio") == ['421["ask"]']
            await node.say("eio", "31[]")
            await wait_until(lambda: any(line["event"] == "callback_failed" for line in lines), "the log line")
