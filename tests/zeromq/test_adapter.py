"""Tests of `zmqio.zeromq.adapter`."""

import dataclasses

import pytest

from tests.support.ports import free_port_block
from zmqio.adapter.base import AdapterFactory, Identity
from zmqio.config import BusOptions
from zmqio.exceptions import ConfigError
from zmqio.ids import make_node_id, make_node_tag
from zmqio.zeromq.adapter import BusOptionValues, ZmqAdapter


def test_adapter_is_a_factory_with_the_default_options():
    adapter = ZmqAdapter("tcp://127.0.0.1:5555")
    assert isinstance(adapter, AdapterFactory)
    assert adapter.addresses == ("tcp://127.0.0.1:5555",)
    assert adapter.options == BusOptions()


def test_commas_separate_several_brokers():
    adapter = ZmqAdapter("tcp://a:5555, ipc:///run/zmqio")
    assert adapter.addresses == ("tcp://a:5555", "ipc:///run/zmqio")


def test_every_bus_option_is_a_keyword_argument():
    assert set(BusOptionValues.__annotations__) == {field.name for field in dataclasses.fields(BusOptions)}
    assert ZmqAdapter("tcp://a:5555", prefix="shop", heartbeat_s=2).options == BusOptions(
        prefix="shop", heartbeat_s=2
    )


@pytest.mark.parametrize("address", ["", "tcp://a", "udp://a:1", "tcp://a:1,tcp://a:1"])
def test_invalid_address_is_rejected(address):
    with pytest.raises(ConfigError):
        ZmqAdapter(address)


def test_unknown_option_is_rejected_and_the_known_ones_are_listed():
    with pytest.raises(ConfigError, match=r"hartbeat_s.*heartbeat_s"):
        ZmqAdapter("tcp://a:5555", hartbeat_s=1)


def test_invalid_value_is_rejected():
    with pytest.raises(ConfigError, match="heartbeat_s"):
        ZmqAdapter("tcp://a:5555", heartbeat_s=0)


class NoNodeEvents:
    def node_joined(self, node_id):
        pass

    def node_left(self, node_id, reason):
        pass

    def bus_gap(self, gap):
        pass


async def test_adapter_starts_and_closes_without_a_broker_and_can_start_again():
    adapter = ZmqAdapter(f"tcp://127.0.0.1:{free_port_block(4)}")
    for _ in range(2):
        tag = make_node_tag()
        await adapter.start(Identity(make_node_id(tag), tag), NoNodeEvents())
        assert not adapter.health().ready
        await adapter.close()
