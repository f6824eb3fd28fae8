"""Turns readings of an observer into rows of rates and states, and into one line of text. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from zmqio.ids import NodeId
from zmqio.top.cluster_observer import BrokerView, NodeView, Reading

__all__ = ["BrokerRow", "NodeRow", "broker_row", "node_row", "status_line", "to_json"]

FAILURES = (
    "zmqio_server_handlers_failed_total",
    "zmqio_server_connect_handlers_failed_total",
    "zmqio_engine_clients_dropped_total",
    "zmqio_engine_messages_failed_total",
    "zmqio_bus_gap_messages_total",
    "zmqio_bus_publish_failed_total",
    "zmqio_bus_message_failed_total",
)
"""Counters that name a fault or a loss; `zmqio top` shows their sum."""


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node. Rates are per second, since the reading before.

    Attributes:
        node: its id.
        host, pid: its process.
        ready: whether it is ready.
        age_s: seconds since its answer.
        sessions: open sessions.
        events_in, events_out: events from and to clients.
        bus_in, bus_out: messages of the bus.
        lag_ms: mean lag of its event loop.
        ring_bytes: messages kept for other nodes.
        unsent: messages that wait for a broker.
        failures: handlers that failed, clients dropped, messages lost: since the start of the node.
    """

    node: str
    host: str
    pid: int
    ready: bool
    age_s: float
    sessions: int
    events_in: float
    events_out: float
    bus_in: float
    bus_out: float
    lag_ms: float
    ring_bytes: int
    unsent: int
    failures: int


@dataclass(frozen=True, slots=True)
class BrokerRow:
    """One broker; rates as in `NodeRow`.

    Attributes:
        address: its base address.
        problem: why it does not respond; empty if it does.
        uptime_s: seconds since its start.
        connected: connections of nodes and outside senders.
        messages_in, messages_out: messages from and to nodes, before fan-out.
        bytes_in: bytes from nodes.
        ingest: publish requests of outside senders.
        server: release and number of NATS servers, which report no other numbers; empty for a broker.
    """

    address: str
    problem: str
    uptime_s: float
    connected: int
    messages_in: float
    messages_out: float
    bytes_in: float
    ingest: float
    server: str = ""


def node_row(node_id: NodeId, view: NodeView, now: float) -> NodeRow:
    """Return the row of a node."""
    latest, previous = view.latest, view.previous
    checks = _growth(latest, previous, "zmqio_server_loop_lag_checks_total")
    lag_s = _growth(latest, previous, "zmqio_server_loop_lag_seconds_total")
    return NodeRow(
        node=node_id,
        host=view.host,
        pid=view.pid,
        ready=bool(latest.values.get("zmqio_ready", 0)),
        age_s=round(now - latest.at_s, 1),
        sessions=int(latest.values.get("zmqio_sessions", 0)),
        events_in=_rate(latest, previous, "zmqio_server_events_received_total"),
        events_out=_rate(latest, previous, "zmqio_server_events_sent_total"),
        bus_in=_rate(latest, previous, "zmqio_bus_messages_received_total"),
        bus_out=_rate(latest, previous, "zmqio_bus_messages_published_total"),
        lag_ms=round(1000 * lag_s / checks, 2) if checks else 0.0,
        ring_bytes=int(latest.values.get("zmqio_replay_ring_bytes", 0)),
        unsent=int(latest.values.get("zmqio_unsent_messages", 0)),
        failures=int(sum(latest.values.get(name, 0) for name in FAILURES)),
    )


def broker_row(view: BrokerView) -> BrokerRow:
    """Return the row of a broker."""
    latest, previous = view.latest or Reading(0, {}), view.previous or Reading(0, {})
    return BrokerRow(
        address=view.address,
        problem=view.problem,
        uptime_s=latest.values.get("uptime_s", 0.0),
        connected=view.connected,
        messages_in=_rate(latest, previous, "frames_in"),
        messages_out=_rate(latest, previous, "frames_out"),
        bytes_in=_rate(latest, previous, "bytes_in"),
        ingest=_rate(latest, previous, "ingest_frames"),
        server=view.server,
    )


def to_json(nodes: Iterable[NodeRow], brokers: Iterable[BrokerRow]) -> Mapping[str, Any]:
    """Return everything as JSON values."""
    return {"brokers": [asdict(row) for row in brokers], "nodes": [asdict(row) for row in nodes]}


def status_line(
    nodes: list[NodeRow], brokers: list[BrokerRow], *, expected: int, required: int
) -> tuple[bool, str]:
    """Return whether the cluster is ready, and one line that says so or why not.

    Args:
        nodes: the nodes that have answered.
        brokers: all brokers.
        expected: number of nodes that the nodes know.
        required: number of nodes that there must be.
    """
    problems = [f"broker {row.address}: {row.problem}" for row in brokers if row.problem]
    problems += [f"node {row.node} ({row.host}:{row.pid}) is not ready" for row in nodes if not row.ready]
    ready = sum(row.ready for row in nodes)
    if len(nodes) < expected:
        problems.append(f"{expected - len(nodes)} of {expected} nodes do not answer")
    if ready < required:
        problems.append(f"{_count(ready, 'node')} ready, {required} required")
    if problems:
        return False, "not ready: " + "; ".join(problems)
    sessions = sum(row.sessions for row in nodes)
    parts = (_count(len(nodes), "node"), _count(len(brokers), "broker"), _count(sessions, "session"))
    return True, "ready: " + ", ".join(parts)


def _growth(latest: Reading, previous: Reading, name: str) -> float:
    # A counter that is lower than before has begun again at 0.
    value, before = latest.values.get(name, 0), previous.values.get(name, 0)
    return value - before if value >= before else value


def _rate(latest: Reading, previous: Reading, name: str) -> float:
    seconds = latest.at_s - previous.at_s
    return round(_growth(latest, previous, name) / seconds, 1) if seconds > 0 else 0.0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
