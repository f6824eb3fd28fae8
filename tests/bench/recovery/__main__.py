"""The ledger of connection state recovery: clients lose their connections again and again while three nodes send.

Each event has to be received once and in the order of its node, or the client is told: `recovered` is False, or a
gap names the node. The exit code is 1 if an event was lost silently or received twice. Usage:
`python -m tests.bench.recovery [--mode breaks|drops|stop] [--fault none|term|kill|pause|broker] ...`.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.bench.recovery.processes import Clients, cpu_seconds
from tests.support.broker import BrokerProcess
from tests.support.cluster import Cluster, NodeProcess
from tests.support.node_config import NodeConfig

MAX_LIMIT_S = 1_800
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


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one run.

    Attributes:
        ledger: the sum of the clients' counters.
        is_complete: whether all clients lost their connections as often as they should.
        seconds: how long it took, from the first loss on.
        cpu_s: CPU time of the nodes in this time; without a node that was killed.
    """

    ledger: Counter[str]
    is_complete: bool
    seconds: float
    cpu_s: float


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


async def run(arguments: argparse.Namespace) -> Result:
    """Run the clients against three nodes, and return their ledger."""
    async with AsyncExitStack() as stack:
        brokers = [await stack.enter_async_context(BrokerProcess()) for _ in range(arguments.brokers)]
        address = ",".join(broker.address for broker in brokers)
        cluster = LedgerCluster(address, arguments.per_second, recovery=not arguments.without_recovery)
        nodes = (await stack.enter_async_context(cluster)).nodes
        clients = await stack.enter_async_context(Clients(arguments, [node.url for node in nodes]))
        await asyncio.wait_for(clients.wait_for("ready"), arguments.limit_s)
        print("all clients are connected", file=sys.stderr, flush=True)
        pids = [node.pid for node in nodes]
        began, before = time.monotonic(), cpu_seconds(pids)
        fault = asyncio.create_task(cause_fault(nodes, brokers[0], arguments))
        is_complete = await clients.end(arguments.limit_s)
        seconds, cpu_s = time.monotonic() - began, cpu_seconds(pids) - before
        if is_complete:
            await fault
        fault.cancel()
        return Result(clients.ledger(), is_complete, seconds, cpu_s)


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
    add("--limit-s", type=float, default=600.0, help="then the run ends; at most 1800")
    add("--without-recovery", action="store_true", help="to compare")
    arguments = parser.parse_args()
    if not 0 < arguments.limit_s <= MAX_LIMIT_S:
        parser.error(f"--limit-s must be at most {MAX_LIMIT_S}")
    return arguments


def main() -> int:
    """Print the ledger as a table."""
    result = asyncio.run(run(read_arguments()))
    ledger = result.ledger
    clients_s = ledger.pop("cpu_ms") / 1_000
    for name, value in ledger.items():
        print(f"{name.replace('_', ' '):15} {value:>10,.0f}")
    print(f"{'delivered':15} {100 * ledger['delivered'] / max(ledger['sent'], 1):>9.2f} %")
    returns = max(ledger["recovered"] + ledger["not_recovered"], 1)
    print(f"{'seconds':15} {result.seconds:>10,.0f}{'' if result.is_complete else '   ENDED BY --limit-s'}")
    for name, cpu_s in (("CPU of clients", clients_s), ("CPU of nodes", result.cpu_s)):
        print(f"{name:15} {cpu_s:>10,.0f} s, {1_000 * cpu_s / returns:.1f} ms for each return")
    return 1 if ledger["missing"] or ledger["twice"] else 0


if __name__ == "__main__":
    sys.exit(main())
