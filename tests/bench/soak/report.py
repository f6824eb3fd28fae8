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
    ("doubled", 9),
    ("overtaken", 11),
    ("missed/told", 15),
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

emitted, refused (the emit raised BusError): messages. delivered, lost, doubled, overtaken: at clients.
missed/told: messages that clients of a node lost, and that the node said were gone, of all nodes.
ms: from the emit to the client; * of what was emitted during the fault. cpu: all that was busy / this run's."""


def heading(plan: Plan, command: str) -> str:
    """Machine, versions, command, and how to read the table."""
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
    """The line above the rows."""
    return (
        "\n" + "scenario".ljust(NAME_WIDTH) + "".join(f"{name:>{width}}" for name, width in COLUMNS) + "  verdict"
    )


def row(name: str, outcome: Outcome) -> str:
    """One line."""
    f = outcome.findings
    values = (
        str(f.emitted),
        str(f.refused),
        str(f.delivered),
        str(f.missing["lost"]),
        str(f.doubled),
        str(f.overtaken),
        f"{sum(f.missed.values())}/{sum(f.told.values())}",
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
    """In words."""
    findings = outcome.findings
    if findings.broken:
        return "BROKEN: " + "; ".join(findings.broken)
    return "held" if not findings.missing["refused"] else "held, but messages were refused"


def details(outcome: Outcome) -> list[str]:
    """What a row has no room for."""
    f = outcome.findings
    lines = [f"fault {outcome.fault_s:.1f} s, emitted for {outcome.emit_s:.1f} s"]
    if f.lost_between_s:
        lines.append(
            f"lost: emitted from {f.lost_between_s[0]:+.3f} s to {f.lost_between_s[1]:+.3f} s of the fault"
        )
    if f.refused:
        lines.append(
            f"refused: {_counts(outcome.errors)}; at clients of other nodes {f.missing['refused']} did not come, "
            f"{f.came['refused']} came all the same"
        )
    if f.overtaken:
        lines.append(f"overtaken within their own room: {f.overtaken_in_room}")
    if any(f.missed.values()) or any(f.told.values()):
        lines.append("missed / told: " + ", ".join(f"node {n}: {f.missed[n]} / {f.told[n]}" for n in f.missed))
    if f.missing["cut off"]:
        lines.append(f"cut off with the killed node: {f.missing['cut off']} deliveries")
    if f.noticed_s:
        lines.append("death noticed after " + ", ".join(f"{s:.1f} s" for s in sorted(f.noticed_s)))
    lines += [f"false death: node {death}" for death in f.false_deaths] + f.closed + outcome.notes
    for node, gaps in outcome.gaps.items():
        lines += [f"gap at node {node}: {gap}" for gap in gaps[:GAPS_SHOWN]]
        if len(gaps) > GAPS_SHOWN:
            lines.append(f"gaps at node {node}: {len(gaps)} in all")
    if outcome.warnings:
        lines.append(f"warnings: {_counts(outcome.warnings)}")
    if interesting := Counter({name: n for name, n in outcome.counters.items() if n}):
        lines.append(f"counters: {_counts(interesting)}")
    return lines + [f"for example {example}" for example in f.examples]


def summary(verdicts: Mapping[str, bool | None]) -> str:
    """The last lines, from whether each scenario held; None for one that could not be run."""
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
