import pytest

from tests.support.contract import assert_same_signatures
from tests.support.fake_sockets import FakeSockets
from zmqio.adapter.base import Adapter, AdapterFactory, LocalSockets
from zmqio.adapter.local import LocalAdapter, LocalAdapterFactory
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.cluster.factory import ClusterAdapterFactory


@pytest.mark.parametrize(
    ("contract", "implementation"),
    [
        (LocalSockets, FakeSockets),
        (Adapter, LocalAdapter),
        (Adapter, ClusterAdapter),
        (AdapterFactory, LocalAdapterFactory),
        (AdapterFactory, ClusterAdapterFactory),
    ],
)
def test_implementation_has_the_signatures_of_its_contract(contract: type, implementation: type) -> None:
    assert_same_signatures(contract, implementation)


def test_abstract_adapter_cannot_be_instantiated() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Adapter()  # type: ignore[abstract]
