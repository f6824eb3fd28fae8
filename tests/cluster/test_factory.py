import pytest

from tests.support.fake_sockets import FakeSockets
from tests.support.memory_bus import MemoryBus, MemoryNetwork
from tests.support.node_harness import NodeEventLog
from tests.support.timing import wait_until
from zmqio.adapter.base import AdapterFactory, Identity
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.config import BusOptions
from zmqio.ids import NodeTag, make_node_id

OPTIONS = BusOptions(heartbeat_s=0.02)


def identity(tag: str) -> Identity:
    return Identity(make_node_id(NodeTag(tag)), NodeTag(tag))


async def test_factory_before_its_start_is_not_ready_and_opens_no_adapter() -> None:
    factory = ClusterAdapterFactory(lambda _: MemoryNetwork().bus(), OPTIONS)
    assert isinstance(factory, AdapterFactory)
    assert not factory.health().ready
    adapter = factory("/", FakeSockets())
    with pytest.raises(RuntimeError, match="has not started"):
        await adapter.open()
    factory.close_sync()
    await factory.close()


async def test_adapters_made_before_the_start_share_the_node() -> None:
    network = MemoryNetwork()
    factory = ClusterAdapterFactory(lambda _: network.bus(), OPTIONS)
    adapters = [factory(name, FakeSockets()) for name in ("/", "/chat")]
    await factory.start(identity("tag1"), NodeEventLog())
    for adapter in adapters:
        await adapter.open()
    assert len(network.buses) == 1
    assert b"zmqio/n//chat\0" in network.buses[0].subscriptions
    await wait_until(lambda: factory.health().ready, "the echo")
    await factory.close()


async def test_subclass_of_the_adapter_is_used() -> None:
    class Mine(ClusterAdapter):
        pass

    factory = ClusterAdapterFactory(lambda _: MemoryNetwork().bus(), OPTIONS, adapter_class=Mine)
    assert isinstance(factory("/", FakeSockets()), Mine)


async def test_factory_restarts_with_another_tag_after_a_clash() -> None:
    network, made = MemoryNetwork(), list[Identity]()

    def make_bus(me: Identity) -> MemoryBus:
        made.append(me)
        return network.bus()

    holder, newcomer = (ClusterAdapterFactory(make_bus, OPTIONS) for _ in range(2))
    await holder.start(identity("tag1"), NodeEventLog())
    assert await holder.wait_for_tag_check(20) is None
    await newcomer.start(identity("tag1"), NodeEventLog())
    clash = await newcomer.wait_for_tag_check(20)
    assert clash is not None
    assert clash.holder == made[0].node_id
    assert "tag1" in newcomer.health().reasons[0]
    await newcomer.close()
    await newcomer.start(identity("tag2"), NodeEventLog())
    assert await newcomer.wait_for_tag_check(20) is None
    assert [one.tag for one in made] == ["tag1", "tag1", "tag2"]
    assert holder.health().ready
    assert newcomer.health().ready
    await wait_until(lambda: holder.health().details["nodes"] == 2, "the newcomer is known")
    await newcomer.close()
    await holder.close()


async def test_close_sync_says_goodbye() -> None:
    network, events = MemoryNetwork(), NodeEventLog()
    leaving, staying = (ClusterAdapterFactory(lambda _: network.bus(), OPTIONS) for _ in range(2))
    await staying.start(identity("tag1"), events)
    await leaving.start(identity("tag2"), NodeEventLog())
    await wait_until(lambda: events.seen, "the join")
    leaving.close_sync()
    await wait_until(lambda: len(events.seen) == 2, "the goodbye")
    assert events.seen[1][2] == "goodbye"
    await staying.close()
