"""The contracts between a node and its carrier are what the implementations offer."""

from zmqio.adapter.local import LocalAdapterFactory
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.cluster.peers import NodeMessageHandler, NodeMessenger, NodeMessengerFactory
from zmqio.cluster.unicast import Unicast
from zmqio.config import BusOptions
from zmqio.relay.relay import Relay


def _members(contract: type) -> set[str]:
    return {name for name in vars(contract) if not name.startswith("_")}


def test_node_offers_its_peers() -> None:
    assert _members(NodeMessenger) == {"attach", "find", "say"}
    assert all(hasattr(Unicast, name) for name in _members(NodeMessenger))


def test_relay_hears_them() -> None:
    assert _members(NodeMessageHandler) == {"heard", "node_gone"}
    assert all(hasattr(Relay, name) for name in _members(NodeMessageHandler))


def test_only_the_cluster_has_peers() -> None:
    def make_bus(_identity: object) -> object:
        raise AssertionError("not started")

    assert isinstance(ClusterAdapterFactory(make_bus, BusOptions()), NodeMessengerFactory)  # type: ignore[arg-type]
    assert not isinstance(LocalAdapterFactory(), NodeMessengerFactory)
