"""The two sides of a bus have the methods of their contracts."""

import pytest

from tests.support.contract import assert_same_signatures
from tests.support.memory_bus import MemoryBus
from zmqio.adapter.bus import Bus, BusEvents
from zmqio.cluster.inbound import Inbound
from zmqio.nats.bus import NatsBus
from zmqio.zeromq.bus import ZmqBus


@pytest.mark.parametrize(
    ("contract", "implementation"), [(Bus, MemoryBus), (Bus, ZmqBus), (Bus, NatsBus), (BusEvents, Inbound)]
)
def test_implementation_has_the_signatures_of_its_contract(contract: type, implementation: type) -> None:
    assert_same_signatures(contract, implementation)
