"""One attack on one or two nodes with well-behaved clients beside it, and what came of it."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.bench.attacks.attacks import Attack
from tests.bench.attacks.wire import wire
from tests.support.balancers import nginx
from tests.support.broker import BrokerProcess
from tests.support.ports import free_port
from tests.support.session_load import SessionLoad, Talk, summary
from tests.support.timing import LIMIT_S, wait_until
from zmqio.recipes.balancing import Backend, Balancing

__all__ = ["WAYS", "AttackResult", "run_attack"]

ROOT = Path(__file__).parents[3]
APP = "tests.bench.attacks.app:app"
CLASSES = ("--ws", "zmqio.uvicorn:WebSocketProtocol", "--http", "zmqio.uvicorn:HttpProtocol")
UVICORN = ("-m", "uvicorn", APP, "--port", "{port}", "--no-access-log", *CLASSES)
SERVE = ("-m", "zmqio", "serve", APP, "--workers", "1", "--bind", "127.0.0.1:{port}")
WAYS = {"uvicorn": UVICORN, "serve": SERVE, "nginx": UVICORN}
"""The command of each node. `nginx`: two nodes behind the printed configuration for `round-robin`."""
TALK = Talk(messages=None, window=4, pace_ms=500)
WARM_MESSAGES = 10
"""Messages of each client before the attack, and after it."""
SAMPLE_S = 0.1


@dataclass(frozen=True, slots=True)
class AttackResult:
    """The result of one attack.

    Attributes:
        units, sent_bytes, connections: what the attackers did.
        disconnects, lost: of the well-behaved clients.
        growth_bytes: largest resident memory of a node during and after the attack, less its memory before.
        left_bytes: the same, at the end.
        slowest_ms: longest time to an acknowledgement of a well-behaved client, in milliseconds.
        log_bytes: what the nodes have logged.
        wrong: the first fault of a client, in words.
    """

    units: int
    sent_bytes: int
    connections: int
    disconnects: int
    lost: int
    growth_bytes: int
    left_bytes: int
    slowest_ms: float
    log_bytes: int
    wrong: str


async def run_attack(attack: Attack, way: str, clients: int, seconds: float) -> AttackResult:
    """Run an attack for some seconds against new nodes."""
    async with BrokerProcess() as broker, SessionLoad() as load, running(way, broker.address) as (port, nodes):
        await load.connect(f"http://127.0.0.1:{port}", clients, spread=False)
        await load.talk(TALK)
        await load.wait_acked(clients * WARM_MESSAGES)
        before = [memory(node) for node in nodes]
        volume = Volume(peaks=before[:])
        sampler = asyncio.create_task(sample(nodes, volume))
        attackers = [asyncio.create_task(attack_until(attack, port, volume)) for _ in range(attack.connections)]
        await asyncio.sleep(seconds)
        for task in attackers:
            task.cancel()
        await asyncio.gather(*attackers, return_exceptions=True)
        await load.wait_acked(load.acked + clients * WARM_MESSAGES)
        await load.finish()
        seen = await load.ended()
        sampler.cancel()
        sums = summary(seen)
        return AttackResult(
            volume.units,
            volume.sent_bytes,
            volume.connections,
            sums["reconnects"] + sums["refused"],
            sums["lost"] + sums["doubled"] + sums["disorder"],
            max(peak - size for peak, size in zip(volume.peaks, before, strict=True)),
            max(memory(node) - size for node, size in zip(nodes, before, strict=True)),
            max(one.slowest_ms for one in seen),
            sum(node.log.stat().st_size for node in nodes),
            next((words for one in seen for words in (*one.wrong, *one.disconnects, *one.refusals)), ""),
        )


@dataclass(slots=True)
class Volume:
    """Totals of a running attack: the actions of the attackers and the largest memory of each node."""

    peaks: list[int]
    units: int = 0
    sent_bytes: int = 0
    connections: int = 0


async def attack_until(attack: Attack, port: int, volume: Volume) -> None:
    """Attack on one connection after the other, until cancelled."""
    while True:
        with suppress(OSError, EOFError, asyncio.LimitOverrunError):
            async with wire(port) as connection:
                volume.connections += 1
                try:
                    async for _ in attack.run(connection):
                        volume.units += 1
                finally:
                    volume.sent_bytes += connection.sent_bytes
        await asyncio.sleep(0.001)


@dataclass(frozen=True, slots=True)
class AttackedNode:
    """A node: its port, its first process and its log."""

    port: int
    process: psutil.Process
    log: Path


async def sample(nodes: Sequence[AttackedNode], volume: Volume) -> None:
    """Note the largest memory of each node, until cancelled."""
    while True:
        volume.peaks = [max(peak, memory(node)) for peak, node in zip(volume.peaks, nodes, strict=True)]
        await asyncio.sleep(SAMPLE_S)


def memory(node: AttackedNode) -> int:
    """Resident memory of a node's processes, in bytes. `zmqio serve` listens before its worker exists."""
    size = 0
    for process in family(node.process):
        with suppress(psutil.NoSuchProcess):
            size += process.memory_info().rss
    return size


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all its children."""
    return [process, *process.children(recursive=True)]


@asynccontextmanager
async def running(way: str, broker: str) -> AsyncIterator[tuple[int, list[AttackedNode]]]:
    """The nodes of a way, and the port for clients."""
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(running_node(WAYS[way], broker)) for _ in range(1 + (way == "nginx"))
        ]
        if way == "nginx":
            backends = tuple(Backend(f"127.0.0.1:{node.port}") for node in nodes)
            balancer = await stack.enter_async_context(nginx(Balancing(backends, mode="round-robin")))
            yield balancer.port, nodes
        else:
            yield nodes[0].port, nodes


@asynccontextmanager
async def running_node(command: Sequence[str], broker: str) -> AsyncIterator[AttackedNode]:
    """A node that listens."""
    port = free_port()
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: ASYNC220 - it starts at once
                [sys.executable, *(word.format(port=port) for word in command)],
                cwd=ROOT,
                env=os.environ | {"ZMQIO_ADAPTER": broker, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        node = psutil.Process(process.pid)
        try:
            await wait_until(lambda: listens(port) or process.poll() is not None, "the node")
            assert process.poll() is None, log.read_text()[-2_000:]
            yield AttackedNode(port, node, log)
        finally:
            processes = family(node) if process.poll() is None else []
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, 2 * LIMIT_S)
            for one in reversed(processes):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()


def listens(port: int) -> bool:
    """Whether something on this machine listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
