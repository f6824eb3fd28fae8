"""Tests of `zmqio.python_socketio.sockets`: the tables of python-socketio repeat the adapter's rooms."""

from tests.support.memory_bus import MemoryNetwork
from tests.support.psio_harness import ManagedServer
from tests.support.timing import wait_until


async def test_a_room_that_another_node_changes_is_in_the_tables() -> None:
    network = MemoryNetwork()
    async with ManagedServer(network) as one, ManagedServer(network) as two:
        sid = await one.connect("eio")
        await wait_until(lambda: two.manager.health().details["nodes"] == 2, "both nodes")
        await two.sio.enter_room(sid, "far")
        await wait_until(lambda: one.sio.rooms(sid) == [sid, "far"], "the room")
        assert list(one.manager.get_participants("/", "far")) == [(sid, "eio")]
        await two.sio.leave_room(sid, "far")
        await wait_until(lambda: one.sio.rooms(sid) == [sid], "the end of the room")


async def test_a_description_has_the_handshake() -> None:
    async with ManagedServer() as node:
        sid = await node.connect("eio")
        await node.sio.enter_room(sid, 42)
        (found,) = await node.manager.cluster().fetch_sockets()
        assert (found.id, found.rooms, found.data) == (sid, {sid, "42"}, {})
        assert found.handshake["query"] == {"EIO": "4", "room": "a b"}
        assert found.handshake["headers"] == {"user-agent": "test"}
        assert (found.handshake["secure"], found.handshake["address"]) == (True, "10.0.0.1")
        assert found.handshake["url"] == "/socket.io/?EIO=4&room=a%20b"


async def test_each_client_is_asked_with_an_id_of_its_own_and_a_lost_one_is_not_awaited() -> None:
    async with ManagedServer() as node:
        await node.connect("eio1")
        await node.connect("eio2")
        asking = node.sio.start_background_task(node.manager.cluster().emit_with_ack, "ask", 1)
        assert await node.wait_packets("eio1") == ['421["ask",1]']
        assert await node.wait_packets("eio2") == ['421["ask",1]']
        await node.say("eio2", '31["yes"]')
        await node.say("eio1", "1")
        assert await asking == ["yes"]
        assert all(set(waiting) == {0} for waiting in node.manager.callbacks.values())


async def test_events_of_another_node_reach_the_application() -> None:
    network = MemoryNetwork()
    async with ManagedServer(network) as one, ManagedServer(network) as two:
        two.manager.cluster().on_server_side("double")(lambda number: 2 * number)
        await two.manager.cluster().emit("open the namespace")
        await wait_until(lambda: one.manager.health().details["nodes"] == 2, "both nodes")
        assert await one.manager.cluster().server_side_emit_with_ack("double", 4) == [8]
