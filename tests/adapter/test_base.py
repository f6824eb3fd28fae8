import inspect

import pytest

from tests.support.fake_sockets import FakeSockets
from tests.support.memory_bus import MemoryBus
from zmqio.adapter.base import Adapter, AdapterFactory, Bus, BusEvents, LocalSockets
from zmqio.adapter.local import LocalAdapter, LocalAdapterFactory
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.cluster.inbound import Inbound


def members(contract: type) -> dict[str, object]:
    return {name: value for name, value in vars(contract).items() if inspect.isfunction(value) and name[0] != "_"}


@pytest.mark.parametrize(
    ("contract", "implementation"),
    [
        (LocalSockets, FakeSockets),
        (Bus, MemoryBus),
        (BusEvents, Inbound),
        (Adapter, LocalAdapter),
        (Adapter, ClusterAdapter),
        (AdapterFactory, LocalAdapterFactory),
        (AdapterFactory, ClusterAdapterFactory),
    ],
)
def test_implementation_has_the_signatures_of_its_contract(contract: type, implementation: type) -> None:
    for name, method in members(contract).items():
        theirs = inspect.signature(getattr(implementation, name)).parameters
        ours = inspect.signature(method).parameters  # type: ignore[arg-type]
        assert [(p.name, p.kind) for p in ours.values()] == [(p.name, p.kind) for p in theirs.values()], name


def test_abstract_adapter_cannot_be_instantiated() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Adapter()  # type: ignore[abstract]
