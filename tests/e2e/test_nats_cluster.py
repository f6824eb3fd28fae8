"""Nodes on three NATS servers: joins, routes and servers that fail. `tests.bench.nats` has the long versions."""

from collections.abc import Iterator

import pytest

from tests.bench.nats.joins import hand_overs, joins
from tests.support.nats_server import NatsCluster

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def servers() -> Iterator[NatsCluster]:
    """Three servers; no test stops one of them."""
    with NatsCluster() as cluster:
        yield cluster


async def test_message_on_another_server_right_after_a_join_is_not_lost(servers: NatsCluster) -> None:
    """Without probes, about 11 of 100 are lost (`python -m tests.bench.nats.joins`)."""
    lost, _ = await joins(servers.addresses, 300)
    assert lost == 0


async def test_room_that_moves_between_nodes_of_one_server_stays_subscribed(servers: NatsCluster) -> None:
    assert await hand_overs(servers.addresses, 1_000) == 0
