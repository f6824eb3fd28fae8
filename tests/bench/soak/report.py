"""The outcomes as plain text."""

import platform
from collections import Counter
from collections.abc import Mapping, Sequence

import zmq

import zmqio
from tests.bench.engine.report import describe_machine
from tests.bench.soak.runs import Outcome, Plan

__all__ = ["NAME_WIDTH", "details", "heading", "row", "summary", "table_head"]

COLUMNS = (
    ("emitted", 9),
    ("refused", 9),
    ("delivered", 11),
    ("lost", 9),
    ("duplicated", 9),
    ("overtaken", 11),
    ("missed/reported", 15),
    ("false deaths", 14),
    ("max ms", 9),
    ("p50", 7),
    ("p99", 9),
    ("p50*", 7),
    ("p99*", 9),
    ("cpu", 10),
)
NAME_WIDTH = 22
GAPS_SHOWN = 3
HEADING = """\
machine:  {machine}
versions: zmqio {zmqio}, Python {python}, pyzmq {pyzmq}, libzmq {libzmq}
command:  {command}
load:     {rate:g} messages/s of 100 B in all, from 3 nodes to 20 rooms; 12 clients in 4 rooms each

emitted, refused (the emit raised BusError): messages. delivered, lost, duplicated, overtaken: at clients.
missed/reported: messages lost to clients of a node, and lost messages that the node reported, over all nodes.
ms: from the emit to the client; *: of messages emitted during the fault. cpu: all processes / this run."""


def heading(plan: Plan, command: str) -> str:
    """Return machine, versions, command, and how to read the table."""
    return HEADING.format(
        machine=describe_machine(),
        zmqio=zmqio.__version__,
        python=platform.python_version(),
        pyzmq=zmq.__version__,
        libzmq=zmq.zmq_version(),
        command=command,
        rate=plan.per_second,
    )


def table_head() -> str:
    """Return the head of the table."""
    return (
        "\n" + "scenario".ljust(NAME_WIDTH) + "".join(f"{name:>{width}}" for name, width in COLUMNS) + "  verdict"
    )


def row(name: str, outcome: Outcome) -> str:
    """Return the row of one scenario."""
    f = outcome.findings
    values = (
        str(f.emitted),
        str(f.refused),
        str(f.delivered),
        str(f.missing["lost"]),
        str(f.duplicated),
        str(f.overtaken),
        f"{sum(f.missed.values())}/{sum(f.reported.values())}",
        str(len(f.false_deaths)),
        _ms(f.delays_us, 1.0),
        _ms(f.delays_us, 0.5),
        _ms(f.delays_us, 0.99),
        _ms(f.window_delays_us, 0.5),
        _ms(f.window_delays_us, 0.99),
        f"{outcome.cpu[0]:.0%}/{outcome.cpu[1]:.0%}",
    )
    cells = "".join(f"{value:>{width}}" for value, (_, width) in zip(values, COLUMNS, strict=True))
    return f"{name:<{NAME_WIDTH}}{cells}  {verdict(outcome)}"


def verdict(outcome: Outcome) -> str:
    """Return the verdict in words."""
    findings = outcome.findings
    if findings.broken:
        return "BROKEN: " + "; ".join(findings.broken)
    return "held" if not findings.missing["refused"] else "held, but messages were refused"


def details(outcome: Outcome) -> list[str]:
    """Return the lines below a row."""
    f = outcome.findings
    lines = [f"fault {outcome.fault_s:.1f} s, emitted for {outcome.emit_s:.1f} s"]
    if f.lost_between_s:
        lines.append(
            f"lost: emitted from {f.lost_between_s[0]:+.3f} s to {f.lost_between_s[1]:+.3f} s of the fault"
        )
    if f.refused:
        lines.append(
            f"refused: {_counts(outcome.errors)}; other nodes' clients missed {f.missing['refused']} "
            f"and received {f.came['refused']}"
        )
    if f.overtaken:
        lines.append(f"overtaken within their own room: {f.overtaken_in_room}")
    if any(f.missed.values()) or any(f.reported.values()):
        lines.append(
            "missed / reported: " + ", ".join(f"node {n}: {f.missed[n]} / {f.reported[n]}" for n in f.missed)
        )
    if f.missing["cut off"]:
        lines.append(f"cut off with the killed node: {f.missing['cut off']} deliveries")
    if f.noticed_s:
        lines.append("death detected after " + ", ".join(f"{s:.1f} s" for s in sorted(f.noticed_s)))
    lines += [f"false death: node {death}" for death in f.false_deaths] + f.closed + outcome.notes
    for node, gaps in outcome.gaps.items():
        lines += [f"gap at node {node}: {gap}" for gap in gaps[:GAPS_SHOWN]]
        if len(gaps) > GAPS_SHOWN:
            lines.append(f"gaps at node {node}: {len(gaps)} in total")
    if outcome.warnings:
        lines.append(f"warnings: {_counts(outcome.warnings)}")
    if interesting := Counter({name: n for name, n in outcome.counters.items() if n}):
        lines.append(f"counters: {_counts(interesting)}")
    return lines + [f"for example {example}" for example in f.examples]


def summary(verdicts: Mapping[str, bool | None]) -> str:
    """Return the last lines. Verdicts are True if a scenario held, and None if it could not run."""
    lines = [f"{list(verdicts.values()).count(True)} of {len(verdicts)} scenarios held"]
    for what, verdict in (("broken", False), ("not run", None)):
        if names := [name for name, one in verdicts.items() if one is verdict]:
            lines.append(f"{what}: {', '.join(names)}")
    return "\n" + "\n".join(lines)


def _ms(sorted_us: Sequence[int], share: float) -> str:
    if not sorted_us:
        return "-"
    at = min(int(len(sorted_us) * share), len(sorted_us) - 1)
    ms = sorted_us[at] / 1000
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())
