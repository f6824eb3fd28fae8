"""Tests of `zmqio.compat.client_operations`: on clients of this node and of another one."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.compat_harness import CompatServer
from tests.support.memory_bus import MemoryNetwork
from tests.support.timing import wait_until
from zmqio.compat import exceptions
from zmqio.exceptions import PacketError


async def test_who_receives_what() -> None:
    async with CompatServer(namespaces=["/", "/chat"]) as node:
        one, two = await node.client(), await node.client()
        await node.sio.enter_room(one.sid, "a")
        await node.sio.enter_room(two.sid, 7)
        targets: list[tuple[dict[str, Any], list[int]]] = [
            ({}, [1, 2]),
            ({"room": "a"}, [1]),
            ({"to": ["a", 7]}, [1, 2]),
            ({"to": "7", "skip_sid": one.sid}, [2]),
            ({"skip_sid": [one.sid, two.sid]}, []),
            ({"to": two.sid, "ignore_queue": True}, [2]),
            ({"to": []}, []),
            ({"namespace": "/chat"}, []),
        ]
        for target, receivers in targets:
            await node.sio.emit("news", (1, "x"), **target)
            await node.sio.send(None)
            for number, client in ((1, one), (2, two)):
                *news, mark = await client.wait(2 if number in receivers else 1)
                assert (news, mark) == (['2["news",1,"x"]'] * (number in receivers), '2["message"]'), target


async def test_operations_on_a_client_of_another_node() -> None:
    network = MemoryNetwork()
    async with CompatServer(network) as here, CompatServer(network) as there:
        await wait_until(lambda: here.sio.io.server_count() == there.sio.io.server_count() == 2, "the other node")
        client = await there.client()
        await here.sio.enter_room(client.sid, "a")
        await wait_until(lambda: there.sio.rooms(client.sid) == sorted([client.sid, "a"]), "the room")
        asking = asyncio.ensure_future(here.sio.call("ask", {"x": 1}, to=client.sid))
        (packet,) = await client.wait()
        client.send(f"3{packet[1:].partition('[')[0]}[null,2]")
        assert await asking == (None, 2)
        await here.sio.leave_room(client.sid, "a")
        await wait_until(lambda: there.sio.rooms(client.sid) == [client.sid], "the room")
        assert here.sio.rooms(client.sid) == []
        assert here.sio.get_environ(client.sid) is None
        with pytest.raises(KeyError, match="is not connected to namespace '/' of this process"):
            await here.sio.get_session(client.sid)
        await here.sio.disconnect(client.sid, ignore_queue=True)
        await here.sio.disconnect(client.sid)
        assert await client.wait() == ["1"]


async def test_callbacks_receive_the_values_of_each_acknowledgement() -> None:
    async with CompatServer() as node:
        one, two = await node.client(), await node.client()
        for client in (one, two):
            await node.sio.enter_room(client.sid, "a")
        called: list[tuple[Any, ...]] = []

        async def callback(*args: Any) -> None:
            called.append(args)

        await node.sio.emit("ask", room="a", callback=callback)
        await node.sio.emit("after", room="a")
        for number, client in enumerate((one, two)):
            ask, after = await client.wait(2)
            assert after == '2["after"]'
            client.send(f"3{ask[1:].partition('[')[0]}[null,{number}]")
        await wait_until(lambda: sorted(called) == [(None, 0), (None, 1)], "the callbacks")
        with pytest.raises(ValueError, match="Cannot use callback without a room set"):
            await node.sio.emit("ask", callback=callback)
        with pytest.raises(PacketError, match="reserved"):
            await node.sio.emit("connect", to=one.sid, callback=callback)


async def test_a_callback_that_raises_is_logged() -> None:
    async with CompatServer() as node:
        client = await node.client()
        with capture_logs() as logs:
            await node.sio.emit("ask", to=client.sid, callback=lambda: 1 / 0)
            (ask,) = await client.wait()
            client.send(f"3{ask[1:].partition('[')[0]}[]")
            await wait_until(lambda: [log["event"] for log in logs] == ["callback_failed"], "the log")


async def test_call_ends_when_the_client_goes_or_does_not_answer() -> None:
    async with CompatServer() as node:
        client = await node.client()
        with pytest.raises(ValueError, match="Cannot use call"):
            await node.sio.call("ask")
        with pytest.raises(exceptions.TimeoutError, match=r"no client acknowledged 'ask' within 0.01 s"):
            await node.sio.call("ask", to=client.sid, timeout=0.01)
        asking = asyncio.ensure_future(node.sio.call("ask", sid=client.sid))
        await client.wait(2)
        client.leave()
        with pytest.raises(exceptions.TimeoutError):
            await asking


async def test_call_in_a_connect_handler_confirms_the_connection_first() -> None:
    async with CompatServer() as node:
        answers: list[Any] = []

        @node.sio.event
        async def connect(sid: str, environ: Any) -> None:
            answers.append(await node.sio.call("ask", to=sid))

        client = await node.client()
        (ask,) = await client.wait()
        client.send(f"3{ask[1:].partition('[')[0]}[5]")
        await wait_until(lambda: answers == [5], "the answer")


async def test_sessions_and_environ_are_there_until_the_disconnect_handler_has_ended() -> None:
    async with CompatServer() as node:
        sio, seen = node.sio, []

        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            environ["mine"] = 1
            async with sio.session(sid) as session:
                session["user"] = environ["HTTP_X_USER"]

        @sio.event
        async def disconnect(sid: str, reason: str) -> None:
            environ = sio.get_environ(sid)
            assert environ is not None
            seen.append((await sio.get_session(sid), environ["mine"], sio.rooms(sid), sio.transport(sid), reason))

        client = await node.client(**{"x-user": "ann"})
        client.leave()
        await wait_until(lambda: len(seen) == 1, "the disconnect handler")
        assert seen == [({"user": "ann"}, 1, [client.sid], "websocket", "transport close")]
        with pytest.raises(TypeError, match="must be a dict"):
            await sio.save_session(client.sid, 5)  # type: ignore[arg-type]


async def test_close_room_empties_it() -> None:
    async with CompatServer() as node:
        client = await node.client()
        await node.sio.enter_room(client.sid, "a")
        await node.sio.close_room("a")
        assert node.sio.rooms(client.sid) == [client.sid]
        with pytest.raises(TypeError, match="cannot be used over several nodes"):
            await node.sio.enter_room(client.sid, 1.5)


async def test_an_emit_to_a_namespace_lets_no_client_join_it() -> None:
    async with CompatServer() as node:
        await node.sio.emit("news", namespace="/secret")
        assert await node.refused("/secret") == {"message": "Unable to connect"}
        node.sio.on("x", lambda sid: None, namespace="/secret")
        await node.client("/secret")
