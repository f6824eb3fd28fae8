"""An observer of real servers through a real broker."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import zmqio
from tests.support.broker import BrokerProcess
from tests.support.keys import KeyFolder
from tests.support.nats_server import NatsServerProcess
from tests.support.timing import LIMIT_S, wait_until
from zmqio.buses import make_observer_bus
from zmqio.top.cluster_observer import ClusterObserver


def make_observer(
    address: str, prefix: str = "zmqio", *, now: Any = time.monotonic, **options: Any
) -> ClusterObserver:
    """An observer that has not started."""
    return ClusterObserver(*make_observer_bus(address, prefix=prefix, **options), prefix, now)


async def observe(observer: ClusterObserver, nodes: int) -> None:
    """Ask until so many nodes have answered."""
    async with asyncio.timeout(LIMIT_S):
        while len(observer.nodes) != nodes:
            observer.ask()
            await observer.wait_for_all(1.0, nodes)


async def test_observer_sees_all_nodes_and_no_node_counts_it() -> None:
    async with BrokerProcess() as broker, zmqio.Server(broker.address) as one, zmqio.Server(broker.address) as two:
        await wait_until(lambda: two.health().details["nodes"] == one.health().details["nodes"] == 2, "both")
        observer = make_observer(broker.address)
        await observer.start()
        try:
            await observe(observer, 2)
            assert observer.nodes.keys() == {one.node_id, two.node_id}
            assert observer.expected_nodes == 2
            values = observer.nodes[one.node_id].latest.values
            assert values["zmqio_ready"] == 1
            assert "zmqio_sessions" in values
            (view,) = observer.brokers
            async with asyncio.timeout(LIMIT_S):  # the broker may count a connection after it has answered
                while view.connected != 3:  # the observer's is one of them
                    observer.ask()
                    await asyncio.sleep(0.05)
            for node in (one, two):
                assert node.health().details["nodes"] == 2
        finally:
            await observer.close()


async def test_observer_goes_on_after_a_restart_of_the_broker() -> None:
    async with BrokerProcess() as broker, zmqio.Server(broker.address) as io:
        observer = make_observer(broker.address)
        await observer.start()
        try:
            await observe(observer, 1)
            broker.kill()
            await wait_until(lambda: observer.brokers[0].latest is None, "the loss")
            observer.note_problems()
            assert observer.brokers[0].problem
            before = observer.nodes[io.node_id].request_id
            await broker.restart_async()
            async with asyncio.timeout(LIMIT_S):
                while observer.nodes.get(io.node_id) is None or observer.nodes[io.node_id].request_id == before:
                    observer.ask()
                    await observer.wait_for_all(1.0)
            observer.note_problems()
            assert observer.brokers[0].problem == ""
        finally:
            await observer.close()


async def test_other_prefix_is_another_cluster_and_keys_are_used(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path)
    async with BrokerProcess(keys=keys) as broker:
        adapter = zmqio.ZmqAdapter(broker.address, curve=keys.node, prefix="shop")
        async with zmqio.Server(adapter):
            found = []
            for prefix in ("shop", "zmqio"):
                observer = make_observer(broker.address, prefix, curve=keys.node)
                await observer.start()
                try:
                    if prefix == "shop":
                        await observe(observer, 1)
                    else:
                        observer.ask()
                        assert not await observer.wait_for_all(0.5)
                    found.append(len(observer.nodes))
                finally:
                    await observer.close()
            assert found == [1, 0]


async def test_node_that_does_not_answer_is_forgotten() -> None:
    now = 0.0
    async with BrokerProcess() as broker:
        observer = make_observer(broker.address, now=lambda: now)
        await observer.start()
        try:
            async with zmqio.Server(broker.address):
                await observe(observer, 1)
            now = 11.0
            observer.ask()
            assert observer.nodes == {}
        finally:
            await observer.close()


async def test_observer_over_nats_sees_the_nodes_and_goes_on_after_a_restart_of_the_server() -> None:
    with NatsServerProcess() as server:
        async with zmqio.Server(server.address) as io:
            observer = make_observer(server.address)
            await observer.start()
            try:
                await observe(observer, 1)
                (view,) = observer.brokers
                assert observer.nodes.keys() == {io.node_id}
                assert view.address == server.address
                assert re.fullmatch(r"NATS [\d.]+, 1 server", view.server)
                await asyncio.to_thread(server.kill)
                await wait_until(lambda: view.latest is None, "the loss")
                observer.note_problems()
                assert view.problem
                before = observer.nodes[io.node_id].request_id
                await asyncio.to_thread(server.start)
                async with asyncio.timeout(LIMIT_S):
                    while (
                        observer.nodes.get(io.node_id) is None or observer.nodes[io.node_id].request_id == before
                    ):
                        observer.ask()
                        await observer.wait_for_all(1.0)
                await wait_until(lambda: view.latest is not None, "the server")
                observer.note_problems()
                assert view.problem == ""
            finally:
                await observer.close()
