"""Real balancers in front of real nodes, in every mode: nginx and HAProxy, as zmqio configures them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.balanced import TAGS, BalancedNodes, Crowd, balanced_nodes
from tests.support.balanced_checks import (
    check_bodies,
    check_dead_node,
    check_dead_node_is_avoided,
    check_forwarded_headers,
    check_messages,
    check_origin,
    check_outer_proxy,
    check_whole_networks,
)
from tests.support.balancers import Product, haproxy, nginx
from tests.support.broker import BrokerProcess
from tests.support.js_clients import JsClients
from zmqio.recipes.balancing import MODES, Mode

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.parametrize("product", [nginx, haproxy])]

STICKY: tuple[Mode, ...] = ("address", "tag")
"""The modes with stickiness, in which a node has its own clients. In the other mode it gets requests of all."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nodes(broker: BrokerProcess) -> AsyncIterator[BalancedNodes]:
    """Three nodes that all tests share."""
    async with balanced_nodes(broker.address) as running:
        yield running


@pytest.mark.parametrize("mode", MODES)
async def test_every_message_arrives_once_and_in_order(
    nodes: BalancedNodes, js: JsClients, product: Product, mode: Mode
) -> None:
    await check_messages(nodes, js, product, mode)


async def test_clients_of_one_network_are_on_one_node(
    nodes: BalancedNodes, js: JsClients, product: Product
) -> None:
    await check_whole_networks(nodes, js, product)


async def test_by_tag_clients_of_one_address_are_on_all_nodes(
    nodes: BalancedNodes, js: JsClients, product: Product
) -> None:
    async with (
        nodes.behind(product, "tag") as balancer,
        Crowd(js, balancer.url, localAddress="127.0.0.1") as crowd,
    ):
        assert set(await crowd.nodes()) == set(TAGS)


@pytest.mark.parametrize("mode", MODES)
async def test_bodies_of_900_kilobytes_are_forwarded(
    nodes: BalancedNodes, js: JsClients, product: Product, mode: Mode
) -> None:
    await check_bodies(nodes, js, product, mode)


@pytest.mark.parametrize("mode", MODES)
async def test_node_learns_the_clients_address(
    nodes: BalancedNodes, js: JsClients, product: Product, mode: Mode
) -> None:
    await check_forwarded_headers(nodes, js, product, mode)


async def test_own_origin_is_the_balancers(nodes: BalancedNodes, product: Product) -> None:
    await check_origin(nodes, product)


async def test_outer_proxy_that_terminates_tls_is_believed(
    nodes: BalancedNodes, js: JsClients, product: Product
) -> None:
    await check_outer_proxy(nodes, js, product)


@pytest.mark.parametrize("mode", STICKY)
async def test_dead_node_disconnects_only_its_own_clients(
    broker: BrokerProcess, js: JsClients, product: Product, mode: Mode
) -> None:
    async with balanced_nodes(broker.address) as nodes:
        await check_dead_node(nodes, js, product, mode)


async def test_without_stickiness_a_dead_node_is_avoided(
    broker: BrokerProcess, js: JsClients, product: Product
) -> None:
    async with balanced_nodes(broker.address) as nodes:
        await check_dead_node_is_avoided(nodes, js, product)
