"""Nodes that stop or die under load catch up, or report exactly what they missed. No other node is affected."""

from tests.bench.soak.actions import node_block, node_kill, node_stop
from tests.bench.soak.testbed import Setup
from tests.support.faults import FAST_DEATHS, check_fault, check_no_loss

TINY_RING_BYTES = 10_000
"""Some 40 messages, a fifth of a second of one node."""


async def test_stopped_node_catches_up():
    await check_no_loss(node_stop(2))


async def test_node_whose_loop_is_blocked_across_a_restart_of_the_broker_catches_up():
    await check_no_loss(node_block(2.5, away_s=0.2))


async def test_node_that_was_away_for_longer_than_the_ring_keeps_says_exactly_what_it_missed():
    outcome = await check_fault(
        node_block(2.5, away_s=0.2), Setup(bus={"replay_ring_bytes": TINY_RING_BYTES}), may_lose=True
    )
    assert outcome.findings.missed[2] > 0
    assert outcome.findings.reported[2] > 0


async def test_killed_node_is_noticed_and_costs_the_others_nothing():
    outcome = await check_fault(node_kill(), Setup(bus=FAST_DEATHS))
    assert len(outcome.findings.noticed_s) == 2
    assert set(outcome.findings.missing) <= {"cut off"}
