"""No session is lost behind nginx and HAProxy: a small version of `python -m tests.bench.sessions`."""

import pytest

from tests.bench.sessions.scenarios import Plan, kill_worker
from tests.support.balancers import Product, haproxy, nginx
from tests.support.broker import BrokerProcess
from tests.support.session_load import SessionLoad, Talk, summary
from tests.support.session_targets import balanced
from zmqio.recipes.balancing import MODES, Mode

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLIENTS, MESSAGES = 40, 10


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("product", [nginx, haproxy])
async def test_every_message_is_acknowledged_once_and_no_session_ends(
    broker: BrokerProcess, product: Product, mode: Mode
) -> None:
    async with balanced(product, mode, broker.address) as target, SessionLoad() as load:
        await load.connect(target.url, CLIENTS, spread=target.spread)
        await load.talk(Talk(MESSAGES, pace_ms=5))
        found = summary(await load.ended())
    assert found.pop("homes") > 1
    assert +found == {"clients": CLIENTS, "acked": CLIENTS * MESSAGES}


@pytest.mark.parametrize("product", [nginx, haproxy])
async def test_only_clients_of_a_killed_node_or_with_a_request_on_it_notice(
    broker: BrokerProcess, product: Product
) -> None:
    async with balanced(product, "round-robin", broker.address) as target, SessionLoad() as load:
        await load.connect(target.url, 20, spread=target.spread)
        outcome = await kill_worker(target, load, Plan(clients=20, messages=10, pace_ms=20))
    assert outcome.faults == []
