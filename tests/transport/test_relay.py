"""Two or three whole nodes without sockets: clients reach one of them, their sessions are on another."""

import asyncio
import json

from tests.support.engine_nodes import EngineNodes
from tests.support.timing import wait_until
from zmqio.protocol import relay_messages as r


async def test_poll_at_another_node_gets_what_its_session_has() -> None:
    async with EngineNodes("here", "ther") as nodes:
        here, there = nodes[0], nodes[1]
        sid, connection = await there.open_polling()
        poll = here.get(sid)
        await wait_until(lambda: connection.session.outlet.ready, "the poll at its owner")
        there.emit("hello", b"binary")
        answer = await poll
        assert (answer.status, answer.text) == (200, "4hello\x1ebYmluYXJ5")
        assert len(nodes.said(r.HttpRequest)) == len(nodes.said(r.HttpResponse)) == 1
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


async def test_unknown_node_is_answered_at_once() -> None:
    async with EngineNodes("here", "ther") as nodes:
        await asyncio.sleep(0)
        answer = await nodes[0].get("nobo" + "x" * 16)
        assert answer.status == 400
        assert json.loads(answer.body) == {
            "code": 1,
            "message": "Session ID unknown",
            "node": "nobo",
            "reason": "no live node has this tag",
        }
