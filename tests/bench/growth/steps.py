"""The measurements of each dimension: a generator of rows, one for each size, on a server or cluster that grows.

Everything is bounded: sizes by `Plan`, time by the load generator's limit for each command.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.bench.cluster_peers.cluster import Cluster, Usage, running
from tests.bench.cluster_peers.peers import Peer
from tests.bench.engine.load import Load
from tests.bench.engine.process import ServerProcess
from tests.bench.engine.servers import Kind

__all__ = ["FULL", "OF_CLUSTERS", "OF_SERVERS", "QUICK", "Plan", "Row"]

Row = dict[str, float]
"""Name of a column, with its unit -> value. The first column is the size."""
CONCURRENCY = 32
WINDOW = 4
SETTLE_S = 1.0
JOINS_AT_ONCE = 500
PAYLOAD_BYTES = 64
QUIET_S = 3.0
"""Seconds without a message after which the rest counts as missing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes.

    Attributes:
        clients: of one node.
        payloads: bytes of a broadcast's payload.
        payload_clients: clients that receive it.
        nodes: of a cluster.
        rooms: joined by one client.
        rates: broadcasts per second from one node to a client of another.
        rate_s: seconds for which each rate is sent.
        idle_s: seconds for which an idle process is watched: one interval of pings, or more.
        deliveries: of each fan-out that is measured.
    """

    clients: tuple[int, ...] = (100, 1_000, 5_000, 20_000)
    payloads: tuple[int, ...] = (32, 256, 1_024, 4_096, 16_384, 65_536)
    payload_clients: int = 50
    nodes: tuple[int, ...] = (2, 4, 8, 16, 32)
    rooms: tuple[int, ...] = (10, 1_000, 10_000, 100_000)
    rates: tuple[int, ...] = (300, 1_000, 3_000, 10_000, 30_000)
    rate_s: float = 5.0
    idle_s: float = 52.0
    deliveries: int = 40_000


FULL = Plan()
QUICK = Plan(
    clients=(100, 1_000, 3_000),
    payloads=(32, 1_024, 65_536),
    nodes=(2, 4, 8),
    rooms=(10, 1_000, 10_000),
    rates=(300, 3_000, 10_000),
    rate_s=2.0,
    idle_s=26.0,
    deliveries=20_000,
)


def clients(kind: Kind, plan: Plan) -> Iterator[Row]:
    """One node with more and more WebSocket clients, all in one room: connect, memory, broadcast, idle."""
    with kind.start() as server, Load(server.port) as load:
        load.run(f"connect websocket 1 {CONCURRENCY}")  # what every process does once
        empty, here = server.resident_bytes(), 1
        for total in plan.clients:
            cpu = _cpu(server, load, f"connect websocket {total - here} {CONCURRENCY}")
            connect_us, here = cpu / (total - here) * 1e6, total
            load.run("fanout 2 64 1 1")
            broadcasts = max(plan.deliveries // total, 2)
            spread = _cpu(server, load, f"fanout {broadcasts} 64 1 {WINDOW}")
            time.sleep(SETTLE_S)
            yield {
                "clients": total,
                "connect, CPU us": connect_us,
                "memory, KiB a client": (server.resident_bytes() - empty) / total / 1024,
                "broadcast 64 B, CPU us a delivery": spread / broadcasts / total * 1e6,
                "idle, CPU ms/s": _idle(server.cpu_s, plan) * 1e3,
            }


def payloads(kind: Kind, plan: Plan) -> Iterator[Row]:
    """Broadcasts of larger and larger payloads to the same clients."""
    with kind.start() as server, Load(server.port) as load:
        load.run(f"connect websocket {plan.payload_clients} {CONCURRENCY}")
        for size in plan.payloads:
            broadcasts = max(
                2, min(plan.deliveries // plan.payload_clients, (200 << 20) // size // plan.payload_clients)
            )
            load.run(f"fanout 2 {size} 1 1")
            cpu = _cpu(server, load, f"fanout {broadcasts} {size} 1 1")
            deliveries = broadcasts * plan.payload_clients
            yield {
                "payload, bytes": size,
                "CPU us a delivery": cpu / deliveries * 1e6,
                "CPU ns a byte": cpu / deliveries / size * 1e9,
            }


def nodes(peer: Peer, plan: Plan) -> Iterator[Row]:
    """More and more nodes with one client each: what it costs that they are there, and one event to all."""
    for count in plan.nodes:
        with running(peer, count) as cluster:
            time.sleep(SETTLE_S)
            idle_node, idle_hub = _idle_of(cluster, plan)
            before = cluster.cpu()
            events = max(plan.deliveries // 100 // count, 20)
            for _ in range(events):
                cluster.wait_until_all_hear()
            used = cluster.cpu() - before
            yield {
                "nodes": count,
                "idle, CPU ms/s a node": idle_node * 1e3,
                "idle, CPU ms/s of the hub": idle_hub * 1e3,
                "event to all, CPU us a node": sum(used.nodes) / count / events * 1e6,
                "event to all, CPU us of the hub": used.hub / events * 1e6,
            }


def rooms(peer: Peer, plan: Plan) -> Iterator[Row]:
    """Two nodes; a client of the first joins more and more rooms, and the second emits to one of them."""
    with running(peer, 2) as cluster:
        here = 0
        empty = cluster.memory()
        for total in plan.rooms:
            before = cluster.cpu()
            for first in range(here, total, JOINS_AT_ONCE):
                last = min(first + JOINS_AT_ONCE, total)
                asked = [cluster.clients[0].order("join", f"room {number}") for number in range(first, last)]
                for number in asked:
                    cluster.clients[0].wait_answer(number)
            cluster.wait_until_all_hear()
            joined, count, here = cluster.cpu() - before, total - here, total
            memory = cluster.memory() - empty
            used, _ = _flood(cluster, sender=1, receiver=0, room="room 0", count=plan.deliveries // 20, rate=1_000)
            yield {
                "rooms": total,
                "join, CPU us of the node": joined.nodes[0] / count * 1e6,
                "join, CPU us of the hub": joined.hub / count * 1e6,
                "memory, bytes a room of the node": memory.nodes[0] / total,
                "memory, bytes a room of the hub": memory.hub / total,
                "broadcast to one, CPU us of nodes and hub": used.total / (plan.deliveries // 20) * 1e6,
            }


def rates(peer: Peer, plan: Plan) -> Iterator[Row]:
    """Two nodes; the first emits more and more often to a client of the second."""
    with running(peer, 2) as cluster:
        cluster.join(1, "room")
        for rate in plan.rates:
            count = int(rate * plan.rate_s)
            used, took_s = _flood(cluster, sender=0, receiver=1, room="room", count=count, rate=rate)
            latencies = sorted(cluster.clients[1].latencies_ns)
            yield {
                "broadcasts/s wanted": rate,
                "received/s": len(latencies) / took_s,
                "missing": count - len(latencies),
                "p50, ms": latencies[len(latencies) // 2] / 1e6,
                "p99, ms": latencies[len(latencies) * 99 // 100] / 1e6,
                "CPU us a broadcast, nodes and hub": used.total / count * 1e6,
            }


def _flood(
    cluster: Cluster, *, sender: int, receiver: int, room: str, count: int, rate: int
) -> tuple[Usage, float]:
    """Emit to a room; return the CPU time and the seconds until the last message arrived."""
    client = cluster.clients[receiver]
    client.latencies_ns.clear()
    before, begun_at = cluster.cpu(), time.monotonic()
    cluster.clients[sender].order("flood", room, count, PAYLOAD_BYTES, rate)
    client.wait_messages(count, QUIET_S)
    took_s = time.monotonic() - begun_at - (QUIET_S if len(client.latencies_ns) < count else 0)
    return cluster.cpu() - before, took_s


OF_SERVERS: Mapping[str, Callable[[Kind, Plan], Iterator[Row]]] = {"clients": clients, "payloads": payloads}
OF_CLUSTERS: Mapping[str, Callable[[Peer, Plan], Iterator[Row]]] = {
    "nodes": nodes,
    "rooms": rooms,
    "rates": rates,
}


def _cpu(server: ServerProcess, load: Load, command: str) -> float:
    """The CPU seconds that the server takes for a command."""
    before = server.cpu_s()
    load.run(command)
    return server.cpu_s() - before


def _idle(cpu_s: Callable[[], float], plan: Plan) -> float:
    """CPU seconds per second."""
    before, begun_at = cpu_s(), time.monotonic()
    time.sleep(plan.idle_s)
    return (cpu_s() - before) / (time.monotonic() - begun_at)


def _idle_of(cluster: Cluster, plan: Plan) -> tuple[float, float]:
    """CPU seconds per second of a node, and of the hub."""
    before, begun_at = cluster.cpu(), time.monotonic()
    time.sleep(plan.idle_s)
    used, seconds = cluster.cpu() - before, time.monotonic() - begun_at
    return sum(used.nodes) / len(used.nodes) / seconds, used.hub / seconds
