"""The scenarios: each prepares a cluster that has just started, then yields the values of one run after the other.

Everything is bounded: counts by `Plan`, time by the limits of `WsClient` and `SILENCE_S`.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.bench.cluster_peers.cluster import Cluster, Usage
from tests.bench.engine.results import Metric

__all__ = ["FULL", "ISOLATED_NODES", "QUICK", "SCENARIOS", "Plan", "Scenario"]

ISOLATED_NODES = 8
SENDER, HOME = 0, 1
"""The node that emits, and the node that has the members."""
ROOM = "the room of the flood"
SILENCE_S = 15.0
"""Seconds without a message after which the rest of a flood counts as lost."""
IDLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of the measurements.

    Attributes:
        rounds: runs of each contestant by scenario; they take turns.
        nodes: of each cluster; 0 for the scenario's number. `isolation` needs three.
        flood: messages of 64 B, without pauses.
        paced_flood, paced_per_second: the same at a fixed pace.
        latency_messages, latency_per_second: of one run and size.
    """

    rounds: Mapping[str, int]
    nodes: int = 0
    flood: int = 20_000
    paced_flood: int = 4_000
    paced_per_second: int = 1_000
    latency_messages: int = 500
    latency_per_second: int = 500


FULL = Plan({"isolation": 3, "latency": 9})
QUICK = Plan({"isolation": 1, "latency": 3}, flood=5_000, paced_flood=2_000)

Found = dict[Metric, float]
Scenario = Callable[[Cluster, Plan], Iterator[Found]]
"""A generator: the first value is empty and shows that the cluster is prepared; then one value per run."""


def isolation(cluster: Cluster, plan: Plan) -> Iterator[Found]:
    """A flood to a room with members on one node: the cost for the nodes without members."""
    cluster.join(HOME, ROOM)
    yield {}
    _flood(cluster, plan.flood // 10, 0)  # warm-up: nothing is compiled or allocated afterwards
    while True:
        paced = f"flood, {plan.paced_per_second}/s"
        yield {
            **_isolation(cluster, plan.flood, 0, "flood, unpaced"),
            **_isolation(cluster, plan.paced_flood, plan.paced_per_second, paced),
            (paced, "CPU us/message, timer alone"): _timer_us(cluster, plan),
        }


def latency(cluster: Cluster, plan: Plan) -> Iterator[Found]:
    """From the emit on one node to the reception at a client of another, paced."""
    cluster.join(HOME, ROOM)
    yield {}
    _flood(cluster, plan.latency_messages, plan.latency_per_second)
    sizes = [(64, "latency 64 B"), (1024, "latency 1 KiB")]
    while True:
        found: Found = {}
        for size, label in sizes:
            run = _flood(cluster, plan.latency_messages, plan.latency_per_second, size)
            per_message = 1e6 / plan.latency_messages
            found |= {
                (label, "p50 us"): _quantile(run.latencies_ns, 0.50) / 1e3,
                (label, "p99 us"): _quantile(run.latencies_ns, 0.99) / 1e3,
                (label, "CPU us, node A"): run.cpu.nodes[SENDER] * per_message,
                (label, "CPU us, node B"): run.cpu.nodes[HOME] * per_message,
                (label, "CPU us, broker/Redis"): run.cpu.hub * per_message,
                (label, "CPU us, nodes and hub"): run.cpu.total * per_message,
                (label, "lost"): float(plan.latency_messages - len(run.latencies_ns)),
            }
        yield found
        sizes.reverse()  # a compiler gets faster while it runs


@dataclass(frozen=True, slots=True)
class _Run:
    """One flood.

    Attributes:
        latencies_ns: of what came to the member.
        cpu: of the processes, until all nodes had worked off everything.
        seconds: the same, by the clock.
    """

    latencies_ns: list[int]
    cpu: Usage
    seconds: float


def _flood(cluster: Cluster, count: int, per_second: int, size: int = 64) -> _Run:
    member = cluster.clients[HOME]
    member.latencies_ns.clear()
    before, begun_at = cluster.cpu(), time.monotonic()
    order = cluster.clients[SENDER].order("flood", ROOM, count, size, per_second)
    member.wait_messages(count, SILENCE_S)
    cluster.clients[SENDER].wait_answer(order)
    cluster.wait_until_all_hear()
    return _Run(list(member.latencies_ns), cluster.cpu() - before, time.monotonic() - begun_at)


def _isolation(cluster: Cluster, count: int, per_second: int, label: str) -> Found:
    idle = _idle_rates(cluster)
    run = _flood(cluster, count, per_second)
    idle = tuple((a + b) / 2 for a, b in zip(idle, _idle_rates(cluster), strict=True))
    used = [(cpu - rate * run.seconds) / count * 1e6 for cpu, rate in zip(run.cpu.nodes, idle, strict=True)]
    apart = used[HOME + 1 :]
    return {
        (label, "CPU us/message, uninvolved"): sum(apart) / len(apart),
        (label, "the same, worst node"): max(apart),
        (label, "idle, CPU us/s, uninvolved"): sum(idle[HOME + 1 :]) / len(apart) * 1e6,
        (label, "CPU us/message, sender"): used[SENDER],
        (label, "CPU us/message, members"): used[HOME],
        (label, "CPU us/message, hub"): run.cpu.hub / count * 1e6,
        (label, "messages/s"): count / run.seconds,
        (label, "lost on the way to member"): float(count - len(run.latencies_ns)),
    }


def _timer_us(cluster: Cluster, plan: Plan) -> float:
    """CPU that the sender of a paced flood uses if it emits nothing: the size of its messages is 0."""
    before = cluster.cpu()
    sender = cluster.clients[SENDER]
    sender.wait_answer(sender.order("flood", ROOM, plan.paced_flood, 0, plan.paced_per_second))
    return (cluster.cpu() - before).nodes[SENDER] / plan.paced_flood * 1e6


def _idle_rates(cluster: Cluster) -> tuple[float, ...]:
    """CPU seconds per second of each idle node."""
    before, begun_at = cluster.cpu(), time.monotonic()
    time.sleep(IDLE_S)
    seconds = time.monotonic() - begun_at
    return tuple(cpu / seconds for cpu in (cluster.cpu() - before).nodes)


def _quantile(values: list[int], share: float) -> float:
    return float(sorted(values)[min(int(len(values) * share), len(values) - 1)]) if values else math.nan


SCENARIOS: Mapping[str, tuple[Scenario, int]] = {"isolation": (isolation, ISOLATED_NODES), "latency": (latency, 2)}
"""The scenarios, each with its number of nodes."""
