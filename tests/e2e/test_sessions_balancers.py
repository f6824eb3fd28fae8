"""No session is lost behind nginx and HAProxy: a small version of `python -m tests.bench.sessions`."""

import pytest

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
