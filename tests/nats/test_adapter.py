"""Tests of `zmqio.nats.adapter`."""

import pytest

from tests.support.ports import free_port
from zmqio.adapter.base import AdapterFactory, Identity
from zmqio.config import BusOptions
from zmqio.exceptions import ConfigError
from zmqio.ids import make_node_id, make_node_tag
from zmqio.nats.adapter import NatsAdapter


def test_adapter_is_a_factory_with_messages_of_the_size_that_nats_allows() -> None:
    adapter = NatsAdapter("nats://127.0.0.1")
    assert isinstance(adapter, AdapterFactory)
    assert adapter.addresses == ("nats://127.0.0.1:4222",)
    assert adapter.options == BusOptions(max_message_bytes=1 << 20)
    assert NatsAdapter("nats://a", max_message_bytes=8 << 20).options == BusOptions()


def test_password_is_not_shown() -> None:
    adapter = NatsAdapter("nats://me:s3cret@a:1,nats://b:1")
    assert repr(adapter) == "NatsAdapter('nats://a:1,nats://b:1')"
    assert "s3cret" not in str(adapter.addresses)


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"NatsAdapter has no option 'hartbeat_s'.*heartbeat_s"):
        NatsAdapter("nats://a", hartbeat_s=1)


def test_class_that_is_no_adapter_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a subclass of ClusterAdapter"):
        NatsAdapter("nats://a", adapter_class=int)  # type: ignore[arg-type]


class NoNodeEvents:
    def node_joined(self, node_id):
        pass

    def node_left(self, node_id, reason):
        pass

    def bus_gap(self, gap):
        pass


async def test_adapter_starts_and_closes_without_a_server_and_can_start_again() -> None:
    adapter = NatsAdapter(f"nats://127.0.0.1:{free_port()}")
    for _ in range(2):
        tag = make_node_tag()
        await adapter.start(Identity(make_node_id(tag), tag), NoNodeEvents())
        assert not adapter.health().ready
        await adapter.close()
