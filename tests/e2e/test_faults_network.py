"""Connections between nodes and broker that are cut or stall under load, and a link that goes down."""

from tests.bench.soak.actions import link_down, relay_mode
from tests.bench.soak.testbed import Setup
from tests.support.faults import check_no_loss

RELAY = Setup(way="relay")
LONGER_THAN_A_CONNECTION_LIVES_S = 6.5
"""ZeroMQ's heartbeats give a silent connection up after 5 s."""


async def test_connections_that_are_cut_cost_nothing():
    await check_no_loss(relay_mode("cut", 0.2, times=3, between_s=0.3), RELAY)


async def test_connections_that_stall_without_an_end_cost_nothing():
    await check_no_loss(relay_mode("stall", LONGER_THAN_A_CONNECTION_LIVES_S), RELAY)


async def test_link_of_a_node_that_goes_down_costs_nothing():
    await check_no_loss(link_down(3), Setup(way="node in netns"))
