"""Judges the results of a run: lost, duplicated, overtaken and reported messages. Pure: no process, no clock.

A message is *expected* by a client that is in its room, from the acknowledgement of the join on. It is *lost* if
it is never received. Two kinds of missing messages are counted separately: *refused* ones at clients of other
nodes (the emit raised BusError), and those that a killed node emitted after its last received message.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.soak.checks import Tally
from tests.bench.soak.load import MEMBERS, ROOMS, room_of

__all__ = ["NOTICED_WITHIN_S", "Evidence", "Findings", "bus_counters", "examine", "reported_by"]

NOTICED_WITHIN_S = 5.0
"""Guaranteed time to detect a dead node, in seconds."""
EXAMPLES_KEPT = 5


@dataclass(slots=True)
class Evidence:
    """The results of a run, collected after all messages have arrived.

    Attributes:
        ledgers: the ledger of each emitter, see `Ledger`.
        tallies: the tally of each client.
        states: `SoakApp.state` of each live node, by its index.
        node_ids: ids of all nodes, by index.
        killed_ns: times at which nodes were killed, by index.
        kept: (client, room) of each later join that was kept to the end.
        window_ns: start and end of the fault.
        may_lose: whether messages in a reported gap may be missing.
        may_die: whether a node was unreachable for long enough to be considered dead.
        noticed_within_s: longest time to detect a dead node; None for no limit.
    """

    ledgers: Sequence["array[int]"]
    tallies: Mapping[int, Tally]
    states: Mapping[int, Mapping[str, Any]]
    node_ids: Sequence[str]
    killed_ns: Mapping[int, int]
    kept: "set[tuple[int, int]]"
    window_ns: tuple[int, int]
    may_lose: bool = False
    may_die: bool = False
    noticed_within_s: float | None = NOTICED_WITHIN_S


@dataclass(slots=True)
class Findings:
    """The verdict and its figures. Counts are deliveries unless stated otherwise.

    Attributes:
        emitted: emitted messages.
        refused: messages whose emit raised.
        came, missing: expected deliveries that were received, or were not. By kind: `refused` at clients of other
            nodes, `cut off` for the last messages of a killed node, and `lost` for all others.
        delivered: deliveries, expected or not.
        duplicated, overtaken, overtaken_in_room, strays: wrong deliveries, see `Tally`.
        missed: for each node, the number of *messages* lost to at least one of its clients.
        excused: for each node, the number of missing *messages* that were refused or cut off. A gap may count
            them.
        reported: for each node, the number of lost messages that its gap counters report.
        outside: for each node with gaps, the number of missed messages outside the ranges of these gaps. The first
            emit of a node has n = 1, because nodes under test send nothing else with a number.
        lost_between_s: times of the first and last lost message, in seconds after the start of the fault.
        delays_us, window_delays_us: sorted delays of all messages, and of those emitted during the fault.
        false_deaths: "one lost three" for each live node declared dead.
        noticed_s: seconds until each live node detected the death of a killed one.
        closed: clients whose connection ended although their node is alive.
        examples: the first few wrong messages.
        broken: reasons why the guarantees do not hold; empty if they do.
    """

    emitted: int = 0
    refused: int = 0
    came: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    delivered: int = 0
    duplicated: int = 0
    overtaken: int = 0
    overtaken_in_room: int = 0
    strays: int = 0
    missed: dict[int, int] = field(default_factory=dict)
    excused: dict[int, int] = field(default_factory=dict)
    reported: dict[int, int] = field(default_factory=dict)
    outside: dict[int, int] = field(default_factory=dict)
    lost_between_s: tuple[float, float] | None = None
    delays_us: list[int] = field(default_factory=list)
    window_delays_us: list[int] = field(default_factory=list)
    false_deaths: list[str] = field(default_factory=list)
    noticed_s: list[float] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def examine(evidence: Evidence) -> Findings:
    """Compare the received with the expected messages."""
    findings = Findings()
    findings.emitted = sum(len(ledger) for ledger in evidence.ledgers)
    findings.refused = sum(at_ns < 0 for ledger in evidence.ledgers for at_ns in ledger)
    _count_missing(evidence, findings)
    _add_tallies(evidence, findings)
    _judge_deaths(evidence, findings)
    findings.reported = {node: reported_by(state) for node, state in evidence.states.items()}
    findings.broken = _reasons(evidence, findings)
    return findings


def bus_counters(state: Mapping[str, Any]) -> Mapping[str, int]:
    """Return the counters of a node's bus. Trees before 0.2 show them without those of other parts."""
    counters: Mapping[str, Any] = state["health_details"].get("counters", {})
    return counters.get("bus", counters)


def reported_by(state: Mapping[str, Any]) -> int:
    """Return the number of lost messages that a node reports: `bus_gap_messages`, or the sum of all `bus_gap*`."""
    counters = bus_counters(state)
    gaps = {name: count for name, count in counters.items() if name.startswith("bus_gap")}
    of_messages = {name: count for name, count in gaps.items() if "message" in name}
    return sum((of_messages or gaps).values())


def _count_missing(evidence: Evidence, findings: Findings) -> None:
    lost: dict[int, set[tuple[int, int]]] = {node: set() for node in evidence.states}
    excused: dict[int, set[tuple[int, int]]] = {node: set() for node in evidence.states}
    lost_at_ns: list[int] = []
    for node, emitter, number, fate in _missing(evidence, findings):
        if fate == "lost":
            lost[node].add((emitter, number))
            lost_at_ns.append(abs(evidence.ledgers[emitter][number]))
        else:
            excused[node].add((emitter, number))
    findings.missed = {node: len(messages) for node, messages in lost.items()}
    findings.excused = {node: len(messages) for node, messages in excused.items()}
    for node, messages in lost.items():
        if gaps := evidence.states[node]["gaps"]:
            findings.outside[node] = len(messages - _in_gaps(evidence, gaps))
    if lost_at_ns:
        begin_ns = evidence.window_ns[0]
        findings.lost_between_s = ((min(lost_at_ns) - begin_ns) / 1e9, (max(lost_at_ns) - begin_ns) / 1e9)


def _missing(evidence: Evidence, findings: Findings) -> Iterator[tuple[int, int, int, str]]:
    """Count the expected deliveries. Yield (node, emitter, number, fate) of each missing one."""
    for emitter, ledger in enumerate(evidence.ledgers):
        numbers = _by_room(emitter, len(ledger))
        for client, tally in evidence.tallies.items():
            node, seen = MEMBERS[client][0], tally.seen[emitter]
            if node not in evidence.states:
                continue
            last_seen = seen.rfind(1)
            for room, from_ns in _stays(evidence, client):
                for number in numbers[room]:
                    if abs(ledger[number]) < from_ns:
                        continue
                    # Clients of the emitting node itself expect the message even if it was refused.
                    refused = ledger[number] < 0 and node != emitter
                    cut_off = emitter in evidence.killed_ns and number > last_seen
                    fate = "refused" if refused else "cut off" if cut_off else "lost"
                    if seen[number]:
                        findings.came[fate] += 1
                    else:
                        findings.missing[fate] += 1
                        yield node, emitter, number, fate


def _in_gaps(evidence: Evidence, gaps: Sequence[Mapping[str, Any]]) -> set[tuple[int, int]]:
    """Return (emitter, number) of all messages in the gaps."""
    lost: set[tuple[int, int]] = set()
    for gap in gaps:
        emitter = evidence.node_ids.index(gap["node_id"])
        # A refused emit has no number on the bus.
        sent = [number for number, at_ns in enumerate(evidence.ledgers[emitter]) if at_ns >= 0]
        lost.update((emitter, number) for number in sent[max(gap["first"] - 1, 0) : gap["last"]])
    return lost


def _by_room(emitter: int, count: int) -> list[list[int]]:
    by_room: list[list[int]] = [[] for _ in range(ROOMS)]
    for number in range(count):
        by_room[room_of(emitter, number)].append(number)
    return by_room


def _stays(evidence: Evidence, client: int) -> list[tuple[int, int]]:
    """Return (room, time from which its messages are expected) for each room of a client."""
    stays = [(room, 0) for room in MEMBERS[client][1]]
    acked = {room: at_ns for room, joined, at_ns in evidence.tallies[client].acked if joined}
    return stays + [(room, acked[room]) for who, room in evidence.kept if who == client and room in acked]


def _add_tallies(evidence: Evidence, findings: Findings) -> None:
    counts: Counter[str] = Counter()
    begin_ms, end_ms = ((at - _base_ns(evidence)) // 1_000_000 for at in evidence.window_ns)
    for client, tally in evidence.tallies.items():
        for name in ("duplicated", "overtaken", "overtaken_in_room", "strays"):
            counts[name] += getattr(tally, name)
        findings.delivered += sum(tally.counts)
        findings.delays_us += tally.delays_us
        findings.window_delays_us += [
            delay
            for delay, at_ms in zip(tally.delays_us, tally.emitted_ms, strict=True)
            if begin_ms <= at_ms <= end_ms
        ]
        findings.examples += [f"client {client}: {example}" for example in tally.examples]
        if tally.closed and MEMBERS[client][0] in evidence.states:
            findings.closed.append(f"client {client}: {tally.closed}")
    findings.duplicated, findings.overtaken = counts["duplicated"], counts["overtaken"]
    findings.overtaken_in_room, findings.strays = counts["overtaken_in_room"], counts["strays"]
    findings.delays_us.sort()
    findings.window_delays_us.sort()
    del findings.examples[EXAMPLES_KEPT:]


def _base_ns(evidence: Evidence) -> int:
    return next(iter(evidence.tallies.values())).base_ns


def _judge_deaths(evidence: Evidence, findings: Findings) -> None:
    indexes = {node_id: index for index, node_id in enumerate(evidence.node_ids)}
    for witness, state in evidence.states.items():
        for node_id, reason, at_ns in state["nodes_left"]:
            index = indexes.get(node_id)
            killed_ns = evidence.killed_ns.get(index) if index is not None else None
            if killed_ns is None or at_ns < killed_ns:
                findings.false_deaths.append(f"{witness} lost {index} ({reason})")
            else:
                findings.noticed_s.append((at_ns - killed_ns) / 1e9)


def _reasons(evidence: Evidence, findings: Findings) -> list[str]:
    reasons = []
    # Within the replay buffer all messages arrive in order across rooms. Beyond it, losses are reported and each
    # room keeps its order.
    reported_gap = evidence.may_lose and any(findings.reported.values())
    unreported = {
        node: count - findings.reported[node]
        for node, count in findings.missed.items()
        if count > findings.reported[node]
    }
    if findings.missing["lost"] and not evidence.may_lose:
        reasons.append(f"{findings.missing['lost']} lost")
    if unreported:
        reasons.append("unreported: " + ", ".join(f"{count} at node {node}" for node, count in unreported.items()))
    if overtold := [
        node
        for node in findings.reported
        if findings.reported[node] > findings.missed[node] + findings.excused[node]
    ]:
        reasons.append(f"more reported than missed at node {', '.join(map(str, overtold))}")
    if outside := sum(findings.outside.values()):
        reasons.append(f"{outside} missed outside the reported gaps")
    if findings.duplicated:
        reasons.append(f"{findings.duplicated} duplicated")
    overtaken = findings.overtaken_in_room if reported_gap else findings.overtaken
    if overtaken:
        reasons.append(f"{overtaken} overtaken")
    if findings.strays:
        reasons.append(f"{findings.strays} strays")
    if findings.false_deaths and not evidence.may_die:
        reasons.append(f"{len(findings.false_deaths)} false deaths")
    return reasons + _reasons_of_processes(evidence, findings)


def _reasons_of_processes(evidence: Evidence, findings: Findings) -> list[str]:
    reasons = []
    expected_detections = len(evidence.killed_ns) * len(evidence.states)
    if len(findings.noticed_s) < expected_detections:
        reasons.append("death not detected")
    elif evidence.noticed_within_s and max(findings.noticed_s, default=0.0) > evidence.noticed_within_s:
        reasons.append(f"death detected after {max(findings.noticed_s):.1f} s")
    if findings.closed:
        reasons.append(f"{len(findings.closed)} clients dropped")
    unacknowledged = [
        (client, room)
        for client, room in evidence.kept
        if not any(joined and where == room for where, joined, _ in evidence.tallies[client].acked)
    ]
    if unacknowledged:
        reasons.append(f"{len(unacknowledged)} joins not acknowledged")
    if not findings.emitted or not findings.delivered:
        reasons.append("nothing was measured")
    return reasons
