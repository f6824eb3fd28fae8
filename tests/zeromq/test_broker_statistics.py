"""The statistics of a broker, over one connection that survives its restart."""

import asyncio
from typing import Any

from tests.support.broker import BrokerProcess
from tests.support.ports import free_port_block
from tests.support.timing import wait_until
from zmqio.zeromq.broker_statistics import BrokerStatistics


async def test_statistics_go_on_after_a_restart_with_another_epoch() -> None:
    received: list[Any] = []
    async with BrokerProcess() as broker:
        statistics = BrokerStatistics(asyncio.get_running_loop(), broker.address, received.append)
        try:
            await wait_until(lambda: received, "the first response, without a request")
            assert statistics.problem == ""

            def is_counted() -> bool:
                """Whether a response counts this connection: another thread of the broker does, a little later."""
                statistics.ask()
                return received[-1].get("peers", {}).get("control", {}).get("connected", 0) > 0

            await wait_until(is_counted, "a response that counts the connection")
            epoch, address = received[0]["epoch"], broker.address
            await broker.restart_async()
            assert broker.address == address
            await wait_until(lambda: {} in received, "the loss")
            await wait_until(lambda: received[-1].get("epoch", epoch) != epoch, "the new broker")
        finally:
            statistics.close()


async def test_without_a_broker_the_problem_is_named() -> None:
    address = f"tcp://127.0.0.1:{free_port_block(4)}"
    statistics = BrokerStatistics(asyncio.get_running_loop(), address, lambda _: None)
    statistics.ask()
    await wait_until(lambda: "refused" in statistics.problem, "the reason")
    statistics.close()
