"""Servers joined in memory behave as nodes behind a broker."""

import pytest

from tests.support.timing import wait_until
from zmqio.exceptions import MessageTooLargeError
from zmqio.server.server import Server
from zmqio.testing.client import TestClient
from zmqio.testing.memory_bus import MemoryCluster


async def test_nodes_share_rooms_and_answer_requests() -> None:
    cluster = MemoryCluster()
    async with Server(adapter=cluster.adapter()) as one, Server(adapter=cluster.adapter()) as two:
        for io in (one, two):
            io.on("enter", lambda socket, room: socket.join(room))
        await wait_until(lambda: one.health().ready and two.health().ready, "both ready")
        async with TestClient(one) as first, TestClient(two) as second:
            await first.call("enter", "lobby")
            await second.call("enter", "lobby")
            await two.to("lobby").emit("news", 1)
            assert await first.receive("news") == [1]
            assert await second.receive("news") == [1]
            await wait_until(lambda: one.server_count() == 2, "they know each other")
            found = await one.in_("lobby").fetch_sockets()
            assert {remote.id for remote in found} == {first.sid, second.sid}


async def test_limit_of_a_message_is_that_of_the_bus() -> None:
    cluster = MemoryCluster(max_message_bytes=1_000, replay_ring_bytes=100_000)
    async with Server(adapter=cluster.adapter()) as io:
        with pytest.raises(MessageTooLargeError):
            await io.emit("big", "x" * 2_000)
