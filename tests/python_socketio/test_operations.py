"""Tests of `zmqio.python_socketio.operations`: what a manager does, in one process."""

from typing import Any

import pytest
import socketio

from tests.support.psio_harness import ManagedServer
from tests.support.timing import wait_until
from zmqio.exceptions import PacketError


async def test_who_receives_what() -> None:
    async with ManagedServer() as node:
        one, two = await node.connect("eio1"), await node.connect("eio2")
        await node.sio.enter_room(one, "a")
        await node.sio.enter_room(two, "b")
        targets: list[tuple[dict[str, Any], list[str]]] = [
            ({}, ["eio1", "eio2"]),
            ({"room": "a"}, ["eio1"]),
            ({"to": ["a", "b"]}, ["eio1", "eio2"]),
            ({"to": ["a", "b"], "skip_sid": one}, ["eio2"]),
            ({"skip_sid": [one, two]}, []),
            ({"to": two}, ["eio2"]),
            ({"room": []}, []),
            ({"namespace": "/chat"}, []),
        ]
        for target, receivers in targets:
            await node.sio.emit("news", (1, "x"), **target)
            found = {eio_sid: node.packets(eio_sid) for eio_sid in ("eio1", "eio2")}
            assert found == {each: ['42["news",1,"x"]'] * (each in receivers) for each in found}, target


async def test_errors_name_the_remedy() -> None:
    async with ManagedServer() as node:
        one, two = await node.connect("eio1"), await node.connect("eio2")
        with pytest.raises(ValueError, match="Cannot use callback without a room set"):
            await node.sio.emit("news", callback=print)
        with pytest.raises(PacketError, match="reserved"):
            await node.sio.emit("connect")
        with pytest.raises(ValueError, match="cannot enter a sid room"):
            await node.sio.enter_room(one, two)
        with pytest.raises(ValueError, match="cannot close a sid room"):
            await node.sio.close_room(two)
        with pytest.raises(socketio.exceptions.TimeoutError):
            await node.sio.call("ask", to=one, timeout=0.01)


async def test_a_client_joins_a_namespace_once_and_leaves_nothing() -> None:
    async with ManagedServer() as node:
        sid = await node.connect("eio")
        await node.say("eio", "0")
        assert node.packets("eio") == ['44{"message":"Unable to connect"}'] or node.packets("eio") == []
        assert node.manager.sid_from_eio_sid("eio", "/") == sid
        await node.sio.enter_room(sid, 7)
        assert node.sio.rooms(sid) == [sid, 7]
        await node.sio.disconnect(sid)
        manager = node.manager
        assert (manager.rooms, manager.callbacks, manager.pending_connect) == ({}, {}, {})
        assert manager.pending_disconnect == {}
        assert not manager.cluster().occupied
        assert await manager.cluster().rooms() == set()


async def test_a_client_that_goes_while_its_connect_handler_runs_leaves_nothing() -> None:
    async with ManagedServer() as node:
        reasons: list[str] = []

        async def connect(sid: str, environ: Any) -> None:
            await node.sio._handle_eio_disconnect("eio", "transport close")

        node.sio.on("connect", connect)
        node.sio.on("disconnect", lambda sid, reason: reasons.append(reason))
        await node.connect("eio")
        await wait_until(lambda: reasons, "the disconnect handler")
        await wait_until(lambda: not node.manager.cluster().occupied, "the client to be forgotten")
        assert node.manager.rooms == {}


async def test_a_refused_client_leaves_nothing() -> None:
    async with ManagedServer() as node:
        node.sio.on("connect", lambda sid, environ: False)
        assert await node.connect("eio") == ""
        assert (node.manager.rooms, node.manager.cluster().occupied) == ({}, False)
        assert await node.connect("other", "/\0") == ""
