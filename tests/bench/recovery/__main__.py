"""The ledger of connection state recovery: clients lose their connections again and again while three nodes send.

`python -m tests.bench.recovery [--clients 200] [--breaks 5] [--fault none|term|kill|pause]`. Each event has to be
received once and in the order of its node, or the client has to be told: `recovered` is False, or a gap names the
node. The exit code is 1 if an event was lost silently or received twice.
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any, ClassVar

from tests.support.broker import BrokerProcess
from tests.support.cluster import Cluster, NodeProcess
from tests.support.node_config import NodeConfig
from tests.support.npm import node_modules, require_node

CLIENTS = Path(__file__).with_name("clients.mjs")
LIMIT_S = 900
FAULTS = {"none": None, "term": signal.SIGTERM, "kill": signal.SIGKILL, "pause": signal.SIGSTOP}
PAUSE_S = 10
ATTEMPTS = 5


class LedgerNode(NodeProcess):
    """A node that sends."""

    module: ClassVar[str] = "tests.bench.recovery.node_app"


class LedgerCluster(Cluster):
    """Three such nodes."""

    def __init__(self, address: str, per_second: float) -> None:
        super().__init__(address, ())
        options = {"recovery": True, "per_second": per_second}
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


async def cause_fault(node: NodeProcess, fault: str, after_s: float) -> None:
    """Stop, kill or pause a node after a while."""
    await asyncio.sleep(after_s)
    number = FAULTS[fault]
    if number is None:
        return
    if fault == "pause":
        node.tell(signal.SIGSTOP)
        await asyncio.sleep(PAUSE_S)
        node.tell(signal.SIGCONT)
    else:
        await node.stop(number)


async def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the clients against three nodes, and return their ledger."""
    async with BrokerProcess() as broker, LedgerCluster(broker.address, arguments.per_second) as nodes:
        command = {
            "clients": arguments.clients,
            "breaks": arguments.breaks,
            "urls": [node.url for node in nodes.nodes],
            "pause_ms": arguments.pause_ms,
            "away_ms": arguments.away_ms,
        }
        process = await asyncio.create_subprocess_exec(
            require_node(),
            str(CLIENTS),
            str(node_modules("socket.io-client").parent),
            json.dumps(command),
            stdout=asyncio.subprocess.PIPE,
        )
        length_s = arguments.breaks * (arguments.pause_ms + arguments.away_ms / 2) / 1_000
        fault = asyncio.create_task(cause_fault(nodes[0], arguments.fault, length_s / 2))
        try:
            output, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)
        finally:
            if process.returncode is None:
                process.kill()
        await fault
        ledger: dict[str, Any] = json.loads(output)
        return ledger


def main() -> int:
    """Print the ledger as a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.recovery", description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--breaks", type=int, default=5)
    parser.add_argument("--per-second", type=float, default=20.0, help="events to everybody, of each node")
    parser.add_argument("--pause-ms", type=float, default=2_000.0, help="mean time between two breaks of a client")
    parser.add_argument("--away-ms", type=float, default=1_000.0, help="longest absence")
    parser.add_argument("--fault", choices=FAULTS, default="none", help="what happens to one node halfway")
    arguments = parser.parse_args()
    ledger = asyncio.run(run(arguments))
    for name, value in ledger.items():
        print(f"{name.replace('_', ' '):15} {value:>10,}")
    return 1 if ledger["missing"] or ledger["twice"] else 0


if __name__ == "__main__":
    sys.exit(main())
