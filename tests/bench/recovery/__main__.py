"""The ledger of connection state recovery: clients lose their connections again and again while three nodes send.

Each event has to be received once and in the order of its node, or the client is told: `recovered` is False, or a
gap names the node. The exit code is 1 if an event was lost silently or received twice. Usage:
`python -m tests.bench.recovery [--mode breaks|drops|stop] [--fault none|term|kill|pause|broker] ...`.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar

from tests.support.broker import BrokerProcess
from tests.support.cluster import Cluster, NodeProcess
from tests.support.node_config import NodeConfig
from tests.support.npm import node_modules, require_node

CLIENTS = Path(__file__).with_name("clients.mjs")
LIMIT_S = 900
MODES = ("breaks", "drops", "stop")
FAULTS = {"none": None, "term": signal.SIGTERM, "kill": signal.SIGKILL, "pause": signal.SIGSTOP, "broker": None}
PAUSE_S = 10
BROKER_AWAY_S = 5
ATTEMPTS = 5


class LedgerNode(NodeProcess):
    """A node that sends."""

    module: ClassVar[str] = "tests.bench.recovery.node_app"


class LedgerCluster(Cluster):
    """Three such nodes."""

    def __init__(self, address: str, per_second: float, *, recovery: bool) -> None:
        super().__init__(address, ())
        options = {"recovery": recovery, "per_second": per_second}
        names = ("one", "two", "three")
        self.nodes = [LedgerNode(NodeConfig(name, adapter=address, options=options)) for name in names]

    async def wait_complete(self) -> None:
        """Wait until each node answers and counts all nodes; a busy machine may need some attempts."""
        for attempt in range(ATTEMPTS):
            try:
                await super().wait_complete()
            except AssertionError:
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                return


class Clients:
    """The processes of the clients."""

    def __init__(self, arguments: argparse.Namespace, urls: list[str]) -> None:
        self._processes: list[asyncio.subprocess.Process] = []
        self._count = arguments.processes
        self._options = {
            "mode": arguments.mode,
            "breaks": arguments.breaks,
            "urls": urls[:1] if arguments.mode == "stop" else urls,
            "urls_after": urls[1:],
            "pause_ms": arguments.pause_ms,
            "away_ms": arguments.away_ms,
            "transports": arguments.transports.split(","),
        }
        self._clients = arguments.clients

    async def __aenter__(self) -> "Clients":
        each = self._clients // self._count
        for number in range(self._count):
            options = {**self._options, "clients": each, "first": number * each}
            folder = str(node_modules("socket.io-client").parent)
            process = await asyncio.create_subprocess_exec(
                require_node(), str(CLIENTS), folder, json.dumps(options), stdout=asyncio.subprocess.PIPE
            )
            self._processes.append(process)
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def lines(self) -> list[str]:
        """The next line of each process."""
        outputs = [process.stdout for process in self._processes]
        lines = await asyncio.gather(*(output.readline() for output in outputs if output is not None))
        if not all(lines):
            raise RuntimeError("a process of the clients has ended")
        return [line.decode() for line in lines]


async def cause_fault(nodes: list[LedgerNode], broker: BrokerProcess, arguments: argparse.Namespace) -> None:
    """Stop, kill or pause a node, or kill a broker for a while; half-way through the breaks."""
    fault = "term" if arguments.mode == "stop" else arguments.fault
    if fault == "none":
        return
    if arguments.mode == "breaks":
        await asyncio.sleep(arguments.breaks * (arguments.pause_ms + arguments.away_ms / 2) / 2_000)
    if fault == "pause":
        nodes[0].tell(signal.SIGSTOP)
        await asyncio.sleep(PAUSE_S)
        nodes[0].tell(signal.SIGCONT)
    elif fault == "broker":
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(BROKER_AWAY_S)
        await asyncio.to_thread(broker.start)
    else:
        await nodes[0].stop(FAULTS[fault] or signal.SIGTERM)


async def run(arguments: argparse.Namespace) -> Counter[str]:
    """Run the clients against three nodes, and return their ledger."""
    async with AsyncExitStack() as stack:
        brokers = [await stack.enter_async_context(BrokerProcess()) for _ in range(arguments.brokers)]
        address = ",".join(broker.address for broker in brokers)
        cluster = LedgerCluster(address, arguments.per_second, recovery=not arguments.without_recovery)
        nodes = (await stack.enter_async_context(cluster)).nodes
        clients = await stack.enter_async_context(Clients(arguments, [node.url for node in nodes]))
        await asyncio.wait_for(clients.lines(), LIMIT_S)
        print("all clients are connected", file=sys.stderr, flush=True)
        fault = asyncio.create_task(cause_fault(nodes, brokers[0], arguments))
        ledgers = [json.loads(line) for line in await asyncio.wait_for(clients.lines(), LIMIT_S)]
        await fault
        return _sum(ledgers)


def _sum(ledgers: list[dict[str, int]]) -> Counter[str]:
    total = Counter[str]()
    for ledger in ledgers:
        total.update(ledger)
    total["slowest_ms"] = max(ledger["slowest_ms"] for ledger in ledgers)
    return total


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.recovery", description=__doc__)
    add: Any = parser.add_argument
    add("--mode", choices=MODES, default="breaks", help="each client alone; all together; all when a node stops")
    add("--clients", type=int, default=200)
    add("--processes", type=int, default=1, help="processes that share the clients")
    add("--breaks", type=int, default=5)
    add("--per-second", type=float, default=20.0, help="events to everybody, of each node")
    add("--pause-ms", type=float, default=2_000.0, help="mean time between two breaks of a client")
    add("--away-ms", type=float, default=1_000.0, help="longest absence")
    add("--transports", default="polling,websocket", help="shared by the clients")
    add("--brokers", type=int, default=1)
    add("--fault", choices=FAULTS, default="none", help="what happens to one node, or one broker, halfway")
    add("--without-recovery", action="store_true", help="to compare")
    return parser.parse_args()


def main() -> int:
    """Print the ledger as a table."""
    ledger = asyncio.run(run(read_arguments()))
    for name, value in ledger.items():
        print(f"{name.replace('_', ' '):15} {value:>10,.0f}")
    print(f"{'delivered':15} {100 * ledger['delivered'] / max(ledger['sent'], 1):>9.2f} %")
    return 1 if ledger["missing"] or ledger["twice"] else 0


if __name__ == "__main__":
    sys.exit(main())
