"""Nodes that stop or die under load catch up, or report exactly what they missed. No other node is affected."""

from tests.bench.soak.actions import node_block, node_kill, node_stop
from tests.bench.soak.testbed import Setup
from tests.support.faults import QUIET_S, check_fault, check_no_loss

TINY_RING_BYTES = 10_000
"""About 40 messages, which one node sends in 0.2 s."""


async def test_stopped_node_catches_up_with_a_broker_that_requires_keys():
    await check_no_loss(node_stop(2), Setup(keys=True))


async def test_node_whose_loop_is_blocked_across_a_restart_of_the_broker_catches_up():
    await check_no_loss(node_block(2.5, away_s=0.2))


async def test_node_stopped_for_longer_than_the_replay_buffer_reports_exactly_what_it_missed():
    outcome = await check_fault(
        node_block(2.5, away_s=0.2),
        Setup(bus={"replay_ring_bytes": TINY_RING_BYTES}),
        may_lose=True,
        quiet_s=QUIET_S,
    )
    assert outcome.findings.missed[2] > 0
    assert outcome.findings.reported[2] > 0


async def test_killed_node_is_detected_and_others_lose_no_message():
    outcome = await check_fault(node_kill(), Setup(bus={"heartbeat_s": 0.2}))
    assert len(outcome.findings.noticed_s) == 2
    assert set(outcome.findings.missing) <= {"cut off"}
