"""docs/from-redis.md: the code blocks of the page reach a client."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import zmqio
from tests.support.broker import BrokerProcess
from tests.support.cluster import process_environment
from tests.support.pages import ROOT, Block
from tests.support.py_clients import PyClient
from tests.support.served import Served
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = ROOT / "docs" / "from-redis.md"
STARTS_LIMIT_S = 5 * LIMIT_S
"""Several Python processes start at the same time: beside three busy loops, one alone has taken 18 s."""


async def run(block: Block, address: str) -> None:
    """Run a code block against the broker of the test."""
    text = block.text.replace("tcp://127.0.0.1:5555", address)
    if block.language == "python":
        command = [sys.executable, "-c", text]
    else:
        command = ["sh", "-c", text.replace("zmqio emit", f"zmqio emit --adapter {address}")]
    environment = process_environment()
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        assert await asyncio.wait_for(process.wait(), STARTS_LIMIT_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_each_block_publishes(broker: BrokerProcess) -> None:
    io = zmqio.Server(broker.address)

    @io.on("connect")
    async def connect(socket: zmqio.Socket) -> None:
        await socket.join("lobby")

    @io.of("/chat").on("connect")
    async def connect_chat(socket: zmqio.Socket) -> None:
        await socket.join("tea")

    async with AsyncExitStack() as stack:
        url = (await stack.enter_async_context(Served(io.asgi(), "on"))).url
        await wait_until(lambda: io.health().ready, "the node's broker, which then receives for the rooms at once")
        client, chat = PyClient(url, "websocket"), PyClient(url, "websocket", namespace="/chat")
        for each in (client, chat):
            stack.push_async_callback(each.end)
            await each.connect()
        await asyncio.gather(*(run(block, broker.address) for block in Block.of(PAGE)))
        news = await client.wait_for("news", 3)
        assert sorted(str(values) for values in news) == [
            "[{'from': 'a script'}]",
            "[{'from': 'a task'}]",
            "[{'from': 'the shell'}]",
        ]
        assert await chat.wait_for("news") == [["several", "values"]]
