"""Connections between nodes and broker that are cut or stall under load, and a link that goes down."""

from tests.bench.soak.actions import link_down, relay_mode
from tests.bench.soak.testbed import Setup
from tests.support.faults import check_no_loss

RELAY = Setup(way="relay")
LONGER_THAN_A_CONNECTION_LIVES_S = 6.5
"""ZeroMQ's heartbeats close a silent connection after 5 s."""


async def test_cut_connections_lose_no_message():
    await check_no_loss(relay_mode("cut", 0.2, times=3, between_s=0.3), RELAY)


async def test_stalled_connections_lose_no_message():
    await check_no_loss(relay_mode("stall", LONGER_THAN_A_CONNECTION_LIVES_S), RELAY)


async def test_link_that_goes_down_loses_no_message():
    await check_no_loss(link_down(3), Setup(way="node in netns"))
