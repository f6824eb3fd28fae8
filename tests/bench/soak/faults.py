"""The scenarios by name."""

from dataclasses import dataclass

from tests.bench.soak import actions
from tests.bench.soak.actions import Action
from tests.bench.soak.testbed import Setup

__all__ = ["FAULTS", "Fault"]

DIRECT = Setup()
RELAY = Setup(way="relay")
TINY_RING_BYTES = 100_000
"""About 500 messages, 0.3 s of one node at the full rate: much less than the node is blocked."""

NATS = Setup(nats=3)
TINY = Setup(bus={"replay_ring_bytes": TINY_RING_BYTES})


@dataclass(frozen=True, slots=True)
class Fault:
    """One scenario.

    Attributes:
        name: name for `--only`.
        act: the fault.
        setup: the cluster.
        may_lose: whether messages in a reported gap may be missing.
        may_die: whether a node is unreachable for long enough to be considered dead.
    """

    name: str
    act: Action
    setup: Setup = DIRECT
    may_lose: bool = False
    may_die: bool = False


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("baseline", actions.nothing(5)),
        Fault("broker-kill-0.3", actions.broker_kill(0.3)),
        Fault("broker-kill-5", actions.broker_kill(5)),
        Fault("broker-kill-20", actions.broker_kill(20)),
        Fault("two-brokers-kill-3x", actions.broker_kill(1, times=3, between_s=2), Setup(brokers=2)),
        Fault("broker-stop-3", actions.broker_stop(3)),
        Fault("broker-stop-10", actions.broker_stop(10)),
        Fault("two-brokers-stop-10", actions.broker_stop(10), Setup(brokers=2)),
        Fault("node-stop-3", actions.node_stop(3)),
        Fault("node-block-5", actions.node_block(5)),
        Fault("node-kill", actions.node_kill()),
        Fault("tiny-ring", actions.node_block(5), TINY, may_lose=True),
        Fault("relay-baseline", actions.nothing(3), RELAY),
        Fault("relay-cut", actions.relay_mode("cut", 0.5, times=3, between_s=2), RELAY),
        Fault("relay-stall-10", actions.relay_mode("stall", 10), RELAY),
        Fault("relay-delay-200ms", actions.relay_mode("delay 0.2", 5), RELAY),
        Fault("netns-down-5", actions.link_down(5), Setup(way="node in netns"), may_die=True),
        Fault("netns-broker-down-5", actions.link_down(5), Setup(way="broker in netns")),
        Fault("join-churn", actions.join_churn(1.5)),
        Fault("nats-restart", actions.nats_kill(0.3), Setup(nats=1)),
        Fault("nats-kill-3x", actions.nats_kill(1, times=3, between_s=2), NATS),
        Fault("nats-stop-3", actions.nats_stop(3), NATS),
        Fault("nats-stop-10", actions.nats_stop(10), NATS, may_die=True),
        Fault("nats-rolling", actions.nats_rolling(1), NATS),
        Fault("nats-route-cut", actions.relay_mode("cut", 1, times=3, between_s=2), Setup(nats=2, way="relay")),
    )
}
