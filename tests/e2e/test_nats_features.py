"""Recovery, the admin page, python-socketio's manager and forwarding over one NATS server: some of their tests.

All of them run over NATS with `ZMQIO_TEST_BUS=nats` or `nats-cluster`, see CONTRIBUTING.md.
"""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.e2e.conftest import NODES, NatsBroker
from tests.e2e.test_admin_page import duo, test_protocol_shows_every_node_and_acts_on_all
from tests.e2e.test_foreign_clients import proxy, test_acknowledged_messages_in_order_both_ways
from tests.e2e.test_python_socketio import (
    mixed,
    peers,
    test_an_emitter_outside_reaches_all,
    test_call_and_callbacks_over_nodes,
    test_emit_to_all_a_room_and_one_client,
    test_rooms_of_clients_of_other_nodes,
)
from tests.e2e.test_recovery import (
    test_a_client_is_recovered_after_the_death_of_its_node,
    test_a_client_is_recovered_after_the_stop_of_its_node,
)
from tests.e2e.test_recovery_mixed import (
    mixed_cluster,
    test_clients_are_recovered_among_nodes_that_keep_no_sessions,
)
from tests.support.cluster import Cluster
from tests.support.cluster_nodes import new_prefix
from tests.support.nats_server import NatsServerProcess
from tests.support.timing import LIMIT_S

__all__ = [
    "duo",
    "mixed",
    "mixed_cluster",
    "peers",
    "proxy",
    "test_a_client_is_recovered_after_the_death_of_its_node",
    "test_a_client_is_recovered_after_the_stop_of_its_node",
    "test_acknowledged_messages_in_order_both_ways",
    "test_an_emitter_outside_reaches_all",
    "test_call_and_callbacks_over_nodes",
    "test_clients_are_recovered_among_nodes_that_keep_no_sessions",
    "test_emit_to_all_a_room_and_one_client",
    "test_protocol_shows_every_node_and_acts_on_all",
    "test_rooms_of_clients_of_other_nodes",
]

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broker() -> AsyncIterator[NatsBroker]:
    """One NATS server."""
    with NatsServerProcess() as server:
        yield NatsBroker(server.address)


@pytest.fixture(scope="module")
def own_broker(broker: NatsBroker) -> NatsBroker:
    """The same: no other test of this module uses the default prefix."""
    return broker


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(broker: NatsBroker) -> AsyncIterator[Cluster]:
    """Three nodes."""
    bus = {"prefix": new_prefix(), "dead_after_s": LIMIT_S}
    async with Cluster(broker.address, [replace(node, bus=bus) for node in NODES]) as nodes:
        yield nodes
