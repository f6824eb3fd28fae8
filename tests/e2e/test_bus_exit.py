"""Processes with a bus or a push exit at once, silently, and with their last message sent."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.broker import BrokerProcess
from tests.support.bus_events import running_bus
from tests.support.cluster import process_environment
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S, wait_until

ALL = b"zmqio/a/\0"
GOODBYE = """
import asyncio, atexit, sys
from zmqio.config import BusOptions
from zmqio.zeromq.bus import ZmqBus

class Events:
    def __init__(self): self.is_back = asyncio.Event()
    def message_received(self, link, topic, body): pass
    def link_lost(self, link): pass
    def link_connected(self, link): self.is_back.set()

def goodbye(bus):
    try:
        print(bus.publish(b"zmqio/a/\\0", b"goodbye"))
    except Exception as error:
        print(type(error).__name__)
    bus.close_sync()

async def main(address, waits):
    events, bus = Events(), ZmqBus([address], BusOptions())
    atexit.register(goodbye, bus)
    await bus.start(events)
    if waits:
        await events.is_back.wait()
        bus.subscribe([b"zmqio/a/\\0"])
    {end}

asyncio.run(main(sys.argv[1], sys.argv[2] == "waits"))
"""
PUSH = """
import sys
from zmqio.zeromq.push import Push
push = Push([sys.argv[1]])
for number in range(100):
    push.send(b"zmqio/n//\\0{%d}" % number)
"""


async def run(script: str, *args: str) -> tuple[int, str]:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", "-c", script, *args],
        cwd=Path(__file__).parents[2],
        env=process_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=LIMIT_S,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if "bus_" not in line and "broker_" not in line]
    return done.returncode, "\n".join(lines)


@pytest.mark.parametrize(("end", "code"), [("return", 0), ("sys.exit(3)", 3)])
async def test_goodbye_at_interpreter_exit_arrives(end: str, code: int):
    async with BrokerProcess() as broker, running_bus(broker.address) as (bus, recorded):
        await bus.subscribe([ALL])
        assert await run(GOODBYE.replace("{end}", end), broker.address, "waits") == (code, "1")
        await wait_until(lambda: recorded.bodies == [b"goodbye"], "the goodbye")


async def test_process_without_a_broker_exits():
    nowhere = f"tcp://127.0.0.1:{free_port_block(4)}"
    assert await run(GOODBYE.replace("{end}", "return"), nowhere, "") == (0, "0")


async def test_script_that_pushes_and_ends_loses_nothing():
    async with BrokerProcess() as broker, running_bus(broker.address) as (bus, recorded):
        await bus.subscribe([b"zmqio/n//\0"])
        assert await run(PUSH, broker.address) == (0, "")
        await wait_until(lambda: len(recorded.messages) == 100, "all messages")
        assert recorded.bodies == [b"{%d}" % number for number in range(100)]
