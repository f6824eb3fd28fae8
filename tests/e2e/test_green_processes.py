"""Processes on gevent and on eventlet: refused as nodes, welcome as publishers. `.ci/newest` installs both."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from importlib.util import find_spec

import pytest

import zmqio
from tests.support.broker import BrokerProcess
from tests.support.cluster import process_environment
from tests.support.cluster_nodes import new_prefix
from tests.support.green_process import EMITS, GREEN_THREADS
from tests.support.py_clients import PyClient
from tests.support.served import Served
from tests.support.timing import LIMIT_S

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
async def test_green_threads_publish_and_are_refused_as_a_node(library: str, broker: BrokerProcess) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    prefix = new_prefix()
    io = zmqio.Server(zmqio.ZmqAdapter(broker.address, prefix=prefix))
    async with Served(io.asgi(), "on") as served:
        client = PyClient(served.url, "websocket")
        await client.connect()
        command = (sys.executable, "-W", "ignore", "-m", "tests.support.green_process", library)
        process = await asyncio.create_subprocess_exec(
            *command, broker.address, prefix, stdout=PIPE, env=process_environment()
        )
        output, _ = await asyncio.wait_for(process.communicate(), 3 * LIMIT_S)
        received = await client.wait_for("green", EMITS * GREEN_THREADS)
        await client.end()
    lines = output.decode().splitlines()
    assert [line.partition(":")[0] for line in lines] == [library, "threading", "None"]
    assert all(f"{library} monkey-patching" in line and "write_only=True" in line for line in lines)
    assert sorted(received) == [[n, i] for n in range(GREEN_THREADS) for i in range(EMITS)]
