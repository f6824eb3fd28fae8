"""Nodes that start without a broker."""

import asyncio

import pytest

from tests.e2e.conftest import ClientMaker
from tests.support.broker import BrokerProcess
from tests.support.cluster import NodeProcess
from tests.support.node_config import NodeConfig
from tests.support.ports import free_port_block

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_nodes_serve_their_clients_without_a_broker_and_join_when_it_comes(make_client: ClientMaker) -> None:
    address = f"tcp://127.0.0.1:{free_port_block(4)}"
    configs = NodeConfig("early", address), NodeConfig("also-early", address, host="uvicorn")
    async with NodeProcess(configs[0]) as first, NodeProcess(configs[1]) as second:
        here, beside = (make_client("js", first.url, "websocket") for _ in range(2))
        there = make_client("py", second.url, "polling")
        await asyncio.gather(*(client.connect() for client in (here, beside, there)))
        for client in (here, beside, there):
            assert await client.call("join", "room") == "ok"
        await here.call("say", "room", "alone", 1)
        assert await beside.wait_for("alone") == [[1]]
        assert there.received.named("alone") == []
        assert not (await first.state())["ready"]
        for node in (first, second):
            assert [line["address"] for line in node.log_lines("broker_connecting")] == [address]
            assert node.log_lines("broker_connected") == []

        async with BrokerProcess(address=address):
            for node in (first, second):
                await node.wait_state("joins", lambda state: state["ready"] and state["server_count"] == 2)
                await node.wait_log("broker_connected")
            await here.call("say", "room", "together", 2)
            for client in (here, beside, there):
                assert await client.wait_for("together") == [[2]]
        for node in (first, second):
            assert len(node.log_lines("broker_connecting")) == 1
