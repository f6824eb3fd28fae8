"""Tests of `zmqio.python_socketio.async_manager`."""

import httpx
import pytest
import socketio

from tests.support.loopback_broker import running_broker
from tests.support.psio_harness import ManagedServer
from tests.support.timing import wait_until
from zmqio.exceptions import ConfigError
from zmqio.python_socketio import AsyncManager


async def test_the_server_uses_its_packet_class_over_nodes() -> None:
    async with ManagedServer(server={"serializer": "msgpack"}) as node:
        node.sio.eio.sockets  # noqa: B018 - the server exists
        assert type(node.manager._runtime.parser).__name__ == "MsgpackParser"


def test_a_server_needs_a_manager_that_is_a_node() -> None:
    with pytest.raises(ConfigError, match="leave out `write_only=True`"):
        socketio.AsyncServer(async_mode="asgi", client_manager=AsyncManager(write_only=True))
    with pytest.raises(ConfigError, match="name each broker only once"):
        AsyncManager("tcp://h:5555,tcp://h:5555")


async def test_the_first_client_starts_the_node() -> None:
    node = ManagedServer()
    assert not node.manager.health().ready
    assert await node.connect("eio") != ""
    await wait_until(lambda: node.manager.health().ready, "the node")
    await node.manager.close()


async def test_write_only_publishes_and_does_not_join() -> None:
    with running_broker() as broker:
        manager = AsyncManager(broker.address, write_only=True, prefix="shop")
        await manager.emit("news", {"a": 1}, room="lobby", skip_sid="x")
        await manager.enter_room("s" * 20, "/", "lobby")
        await manager.leave_room("s" * 20, "/", "lobby")
        await manager.close_room("lobby")
        await manager.disconnect("s" * 20, "/")
        with pytest.raises(RuntimeError, match="Callbacks can only be issued"):
            await manager.emit("news", None, room="lobby", callback=print)
        await wait_until(lambda: len(broker.pushed) == 5, "the requests")
        assert broker.subscribed == []
        await manager.close()


async def test_the_ready_path_shows_the_state_of_the_node() -> None:
    node = ManagedServer()
    transport = httpx.ASGITransport(app=node.manager.health_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        assert (await client.get("/readyz")).status_code == 503
        async with node:
            assert (await client.get("/readyz")).status_code == 200


async def test_a_server_or_a_manager_disconnects_a_client() -> None:
    async with ManagedServer() as node:
        for disconnect in (node.sio.disconnect, lambda sid: node.manager.disconnect(sid, "/")):
            sid = await node.connect("eio")
            await disconnect(sid)
            await wait_until(lambda: not node.manager.cluster().occupied, "the disconnect")
            assert await node.wait_packets("eio") == ["41"]


async def test_the_admin_page_of_python_socketio_works() -> None:
    node = ManagedServer(server={"namespaces": ["/", "/admin"]})
    admin = node.sio.instrument(auth=False)
    async with node:
        await node.connect("admin", "/admin")
        sid = await node.connect("eio")
        await node.sio.enter_room(sid, "a")
        await node.sio.emit("x", 1, room="a")
        seen = "".join(map(str, await node.wait_packets("admin", 2)))
        assert f'"socket_connected",{{"id":"{sid}"' in seen
        assert f'"event_sent","/","{sid}",["x",1]' in seen
    await admin.shutdown()
