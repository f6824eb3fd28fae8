"""The contracts between a node and its carrier are what the implementations offer."""

from zmqio.adapter.local import LocalAdapterFactory
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.cluster.peers import PeerEvents, PeerFactory, Peers
from zmqio.cluster.unicast import Forwarding
from zmqio.config import BusOptions
from zmqio.relay.relay import Relay


def _members(contract: type) -> set[str]:
    return {name for name in vars(contract) if not name.startswith("_")}


def test_node_offers_its_peers() -> None:
    assert _members(Peers) == {"attach", "find", "say"}
    assert all(hasattr(Forwarding, name) for name in _members(Peers))


def test_relay_hears_them() -> None:
    assert _members(PeerEvents) == {"heard", "node_gone"}
    assert all(hasattr(Relay, name) for name in _members(PeerEvents))


def test_only_the_cluster_has_peers() -> None:
    def make_bus(_identity: object) -> object:
        raise AssertionError("not started")

    assert isinstance(ClusterAdapterFactory(make_bus, BusOptions()), PeerFactory)  # type: ignore[arg-type]
    assert not isinstance(LocalAdapterFactory(), PeerFactory)
