"""The cost of a broker's death for nodes with many rooms: `python -m tests.bench.cluster_peers.rooms_outage`.

    [--nodes 8] [--rooms 100000] [--rate 100] [--seconds 0]

One client on each node joins `rooms` rooms of its own, and all are in one more. The last node emits `rate`
messages per second to that room. The broker is killed with SIGKILL, and started again after `seconds`. Counted are
the messages that a client misses, and the time from the broker's start until a new message reaches all clients.
"""

import argparse
import sys
import time
from contextlib import ExitStack

import psutil

from tests.bench.cluster_peers.cluster import Cluster
from tests.bench.cluster_peers.peers import PEERS, Hub
from tests.bench.cluster_peers.ws_client import WsClient
from tests.bench.engine.report import describe_machine
from tests.support.broker import BrokerProcess

JOINS_AT_ONCE = 500
BEFORE_S, AFTER_S, QUIET_S = 3.0, 7.0, 10.0
"""Seconds of load before and after the outage; seconds of silence after which the rest counts as missing."""
PAYLOAD_BYTES = 64
MB = 1e6


def measure(nodes: int, rooms: int, rate: int, outage_s: float) -> None:
    """Run it once, and print."""
    with ExitStack() as stack:
        broker = stack.enter_context(BrokerProcess())
        children = [
            stack.enter_context(PEERS[0].start_node(Hub(broker.address, broker.pid))) for _ in range(nodes)
        ]
        for child in children:
            child.wait_until_it_listens()
        clients = [stack.enter_context(WsClient(child.port)) for child in children]
        cluster = Cluster(children, clients, broker.pid)
        cluster.wait_until_all_hear()
        _join(cluster, rooms)
        memory = cluster.memory()
        topics = broker.statistics()["topics"]
        count = int((BEFORE_S + outage_s + AFTER_S) * rate)
        clients[-1].order("flood", "all", count, PAYLOAD_BYTES, rate)
        time.sleep(BEFORE_S)
        broker.kill()
        time.sleep(outage_s)
        broker.start()
        started_at = time.monotonic()
        cluster.wait_until_all_hear()
        print(f"all clients receive again after {time.monotonic() - started_at:.1f} s")
        for client in clients:
            client.wait_messages(count, QUIET_S)
        received = sum(len(client.latencies_ns) for client in clients)
        print(f"missing: {count * nodes - received} of {count * nodes} messages")
        print(f"broker: {topics} topics, {memory.hub / MB:.0f} MB before")
        print(f"broker: {psutil.Process(broker.pid).memory_info().rss / MB:.0f} MB after its restart")
        print(f"nodes: {sum(memory.nodes) / nodes / MB:.0f} MB each")


def _join(cluster: Cluster, rooms: int) -> None:
    for node, client in enumerate(cluster.clients):
        cluster.join(node, "all")
        for first in range(0, rooms, JOINS_AT_ONCE):
            names = [f"node {node} {number:08}" for number in range(first, min(first + JOINS_AT_ONCE, rooms))]
            client.wait_answer(client.order("join", names))
    cluster.wait_until_all_hear()


def main() -> None:
    """Parse, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--rooms", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=0.0)
    arguments = parser.parse_args()
    print(f"machine: {describe_machine()}")
    print(f"command: python -m tests.bench.cluster_peers.rooms_outage {' '.join(sys.argv[1:])}\n")
    measure(arguments.nodes, arguments.rooms, arguments.rate, arguments.seconds)


if __name__ == "__main__":
    main()
