"""A client of a python-socketio node that does not read: it is dropped, and others miss nothing."""

import psutil
import pytest

from tests.support.broker import BrokerProcess
from tests.support.cluster_nodes import wait_rooms
from tests.support.members import WebSocketMember
from tests.support.psio_nodes import mixed_nodes
from tests.support.py_clients import PyClient

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZE_BYTES = 200_000
COUNT = 150
FEW = 4
MAX_GROWTH_BYTES = 20 << 20
"""The messages have 30 MB, the limit is 1 MiB."""


async def test_a_client_that_does_not_read_is_dropped(broker: BrokerProcess) -> None:
    async with mixed_nodes(broker.address, psio_count=1, slow_client_grace_s=0) as (node, other):
        silent = await WebSocketMember.open(node.port)
        reader = PyClient(node.url, "websocket")
        await reader.connect()
        before = psutil.Process(node.pid).memory_info().rss
        for number in range(1, COUNT + 1):
            await other.do("emit", event="big", args=["x" * SIZE_BYTES])
            if number % FEW == 0:  # the reader is never behind by more than its buffer has room for
                await reader.wait_for("big", number)
        await node.wait_state(
            "the client to be dropped",
            lambda state: state["health_details"]["counters"]["python_socketio"].get("clients_dropped") == 1,
        )
        assert len(await reader.wait_for("big", COUNT)) == COUNT
        assert psutil.Process(node.pid).memory_info().rss - before < MAX_GROWTH_BYTES
        assert [line["reason"] for line in node.log_lines("client_dropped")] == ["slow client"]
        await wait_rooms(other, {reader.sid: set()})
        await reader.end()
        await silent.drop()
