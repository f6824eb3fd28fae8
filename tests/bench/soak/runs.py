"""One scenario, from setup to verdict."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psutil

from tests.bench.soak.faults import Fault
from tests.bench.soak.judge import NOTICED_WITHIN_S, Evidence, Findings, bus_counters, examine
from tests.bench.soak.load import MEMBERS, room_of
from tests.bench.soak.testbed import NAMES, Testbed

__all__ = ["FULL", "QUICK", "Outcome", "Plan", "run_fault"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Amount and duration of the load.

    Attributes:
        per_second: messages per second, all nodes together.
        lead_s: seconds of load before the fault.
        tail_s: seconds of load after the fault.
        quiet_s: seconds without progress after which missing messages are lost.
        settle_s: longest wait for missing messages, in seconds.
        noticed_within_s: longest time to detect a dead node; None for no limit.
    """

    per_second: float = 5_000
    lead_s: float = 3.0
    tail_s: float = 4.0
    quiet_s: float = 6.0
    settle_s: float = 30.0
    noticed_within_s: float | None = NOTICED_WITHIN_S


FULL = Plan()
QUICK = Plan(per_second=2_000, lead_s=1.5, tail_s=2.5)
MAX_EMIT_S = 90.0
"""Longest load of a scenario; emitters stop by themselves then."""
POLL_S = 0.25
DUPLICATES_S = 0.5
"""Wait for duplicates after all messages have arrived."""


@dataclass(slots=True)
class Outcome:
    """The result of one scenario.

    Attributes:
        findings: the verdict.
        fault_s: duration of the fault.
        emit_s: duration of the load.
        warnings: log lines above INFO of all nodes, by event.
        counters: sums over all live nodes.
        gaps: gaps reported by `on_bus_gap`, by node name.
        errors: emits that raised, by error name.
        notes: remarks for the reader.
        cpu: busy share of all cores, in total and of this harness with its nodes and brokers.
    """

    findings: Findings
    fault_s: float = 0.0
    emit_s: float = 0.0
    warnings: Counter[str] = field(default_factory=Counter)
    counters: Counter[str] = field(default_factory=Counter)
    gaps: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    cpu: tuple[float, float] = (0.0, 0.0)


async def run_fault(fault: Fault, plan: Plan, *, longest_s: float = MAX_EMIT_S) -> Outcome:
    """Set up the cluster, load it, cause the fault, wait, and judge.

    Raises:
        NotPermittedError: the machine does not allow what the scenario needs.
        AssertionError: the harness itself failed.
    """
    async with Testbed(fault.setup, per_second=plan.per_second, longest_s=longest_s) as testbed:
        load = _CpuWatch()
        began_s, memory = time.monotonic(), _Memory(testbed)
        await testbed.emit()
        await asyncio.sleep(plan.lead_s)
        window_from_ns = time.monotonic_ns()
        await fault.act(testbed)
        window_to_ns = time.monotonic_ns()
        await asyncio.sleep(plan.tail_s)
        await testbed.stop()
        emit_s, cpu = time.monotonic() - began_s, load.shares()
        await _wait_for_missing(testbed, plan)
        evidence = await _evidence(testbed, fault, plan, (window_from_ns, window_to_ns))
        outcome = Outcome(await asyncio.to_thread(examine, evidence))
        outcome.fault_s, outcome.emit_s, outcome.cpu = (window_to_ns - window_from_ns) / 1e9, emit_s, cpu
        _add_logs(outcome, testbed, evidence)
        outcome.notes += [*testbed.notes, memory.growth(testbed)]
        return outcome


async def _wait_for_missing(testbed: Testbed, plan: Plan) -> None:
    """Wait until all expected messages have arrived, or no more arrive."""
    expected = await asyncio.to_thread(_expected, testbed)
    ends_at_s = time.monotonic() + plan.settle_s
    came, since_s = -1, time.monotonic()
    while time.monotonic() < ends_at_s and time.monotonic() - since_s < plan.quiet_s:
        progress = await testbed.checker.progress()
        # Expected messages of rooms joined during the run are not known here; then only quiet ends the wait.
        if not testbed.kept and all(
            progress[client][emitter] >= count for (client, emitter), count in expected.items()
        ):
            break
        if (now := sum(map(sum, progress.values()))) != came:
            came, since_s = now, time.monotonic()
        await asyncio.sleep(POLL_S)
    await asyncio.sleep(DUPLICATES_S)


def _expected(testbed: Testbed) -> dict[tuple[int, int], int]:
    """Return the number of expected messages by (client, emitter), for live nodes."""
    living = {node.index for node in testbed.living}
    expected: dict[tuple[int, int], int] = {}
    for node in testbed.living:
        in_room = Counter(room_of(node.index, number) for number in range(len(node.ledger())))
        for client, (home, rooms) in MEMBERS.items():
            if home in living:
                expected[client, node.index] = sum(in_room[room] for room in rooms)
    return expected


async def _evidence(testbed: Testbed, fault: Fault, plan: Plan, window_ns: tuple[int, int]) -> Evidence:
    states = {node.index: await node.state() for node in testbed.living}
    return Evidence(
        ledgers=[node.ledger() for node in testbed.nodes],
        tallies=await testbed.checker.report(),
        states=states,
        node_ids=[node.node_id for node in testbed.nodes],
        killed_ns={node.index: node.killed_ns for node in testbed.nodes if node.killed_ns is not None},
        kept=testbed.kept,
        window_ns=window_ns,
        may_lose=fault.may_lose,
        may_die=fault.may_die,
        noticed_within_s=plan.noticed_within_s,
    )


def _add_logs(outcome: Outcome, testbed: Testbed, evidence: Evidence) -> None:
    for node in testbed.nodes:
        outcome.warnings += node.warnings()
    for index, state in evidence.states.items():
        outcome.counters.update(bus_counters(state))
        outcome.errors.update(state["errors"])
        if state["gaps"]:
            outcome.gaps[NAMES[index]] = state["gaps"]
        if not state["ready"]:
            outcome.notes.append(f"node {NAMES[index]} is not ready: {'; '.join(state['health_reasons'])}")
    if unknown := testbed.setup.unknown():
        outcome.notes.append(f"this release has no option {', '.join(unknown)}; not set")


class _Memory:
    """The memory of each node, now and later."""

    def __init__(self, testbed: Testbed) -> None:
        self._before = {node.index: node.resident_mb() for node in testbed.nodes}

    def growth(self, testbed: Testbed) -> str:
        parts = (f"{self._before[node.index]:.0f} -> {node.resident_mb():.0f}" for node in testbed.living)
        return f"memory of the nodes in MB: {', '.join(parts)}"


class _CpuWatch:
    """The busy share of the cores since construction."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._busy_s, self._own_s = _busy_s(), _own_s()

    def shares(self) -> tuple[float, float]:
        all_s = (time.monotonic() - self._began_s) * (psutil.cpu_count() or 1)
        return (_busy_s() - self._busy_s) / all_s, max(_own_s() - self._own_s, 0.0) / all_s


def _busy_s() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


def _own_s() -> float:
    own = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in [own, *own.children(recursive=True)])
