"""NATS servers and routes between them that fail under load: every client gets every message once, in order.

`python -m tests.bench.soak` has more: three kills, a rolling restart, servers that are stopped, more messages.
"""

from tests.bench.soak.actions import nats_kill, relay_mode
from tests.bench.soak.testbed import Setup
from tests.support.faults import check_no_loss


async def test_killing_a_server_of_a_cluster_loses_no_message():
    await check_no_loss(nats_kill(0.3), Setup(nats=3))


async def test_route_that_is_cut_loses_no_message():
    await check_no_loss(relay_mode("cut", 0.5), Setup(nats=2, way="relay"))
