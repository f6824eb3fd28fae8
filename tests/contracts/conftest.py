"""The buses that the adapter conformance suite runs over. To add one, add it to `NETWORKS`."""

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import pytest
import pytest_asyncio

from tests.contracts.harness import Cluster, MakeFactory, open_cluster, over
from tests.support.broker import BrokerProcess
from tests.support.keys import KeyFolder
from tests.support.memory_bus import Faults, MemoryNetwork
from tests.support.nats_server import NatsCluster, NatsServerProcess
from zmqio.config import BusOptions
from zmqio.ids import NodeId
from zmqio.nats.addresses import parse_servers
from zmqio.nats.bus import NatsBus
from zmqio.nats.login import NatsLogin
from zmqio.protocol.envelope import encode
from zmqio.protocol.messages import AckCount, AckResponse, Envelope, MessageId, Response
from zmqio.zeromq.bus import ZmqBus

OPTIONS = BusOptions(heartbeat_s=0.05, dead_after_s=5.0)


def lies(topic: bytes, body: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Add to each message: a malformed one, one of another version, and unrequested responses."""
    liar = NodeId("liarliarliarlia")
    yield topic, b"\xc1 is no msgpack"
    yield topic, b"\x95\x07\x01\xa4peer\x01\x00"
    if topic.startswith(b"zmqio/u/"):
        for message in (AckCount(10**6, 3), AckResponse(10**6, b"\x90"), Response(10**6, b"\x90", last=True)):
            yield topic, encode(Envelope(MessageId(liar, 1), message))


def honest() -> MemoryNetwork:
    """One broker."""
    return MemoryNetwork()


def two_brokers() -> MemoryNetwork:
    """Two brokers; each message arrives through both."""
    return MemoryNetwork(links=2)


def lying() -> MemoryNetwork:
    """Two brokers with duplicate and stale messages, slow barriers, and malformed messages."""
    return MemoryNetwork(links=2, faults=Faults(double=0.3, stale=0.3, malformed=lies, slow_barrier_turns=25))


NETWORKS: dict[str, Callable[[], MemoryNetwork]] = {make.__name__: make for make in (honest, two_brokers, lying)}
REAL, WITH_KEYS = "real_broker", "real_broker_with_keys"
NATS, NATS_CLUSTER = "nats_server", "nats_cluster"


def nats_bus(addresses: Sequence[str], options: BusOptions, name: str) -> NatsBus:
    """The bus of a node that knows one server of a cluster; nodes A, B and C each know another one."""
    address = addresses[ord(name[0]) % len(addresses)]
    return NatsBus(parse_servers(address), replace(options, max_message_bytes=1 << 20), NatsLogin())


@pytest.fixture(scope="session")
def broker() -> Iterator[BrokerProcess]:
    """A broker process for the whole run; each cluster has its own prefix."""
    with BrokerProcess() as process:
        yield process


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    """The keys of a cluster."""
    return KeyFolder(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def broker_with_keys(keys: KeyFolder) -> Iterator[BrokerProcess]:
    """The same broker process, requiring keys."""
    with BrokerProcess(keys=keys) as process:
        yield process


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServerProcess]:
    """A NATS server for the whole run."""
    with NatsServerProcess() as process:
        yield process


@pytest.fixture(scope="session")
def nats_cluster() -> Iterator[NatsCluster]:
    """Three NATS servers of one cluster for the whole run."""
    with NatsCluster() as servers:
        yield servers


# The contract over one NATS server is a part of that over three: it runs if ZMQIO_TEST_BUS is nats.
BUSES = [*NETWORKS, REAL, WITH_KEYS, NATS_CLUSTER, *([NATS] if os.environ.get("ZMQIO_TEST_BUS") == "nats" else [])]


@pytest.fixture(params=BUSES)
def make_factory(request: pytest.FixtureRequest) -> MakeFactory:
    """Makes the adapter factories of the nodes of one cluster."""
    if request.param in NETWORKS:
        return over(NETWORKS[request.param]().bus, OPTIONS)
    options = replace(OPTIONS, prefix=f"test-{secrets.token_hex(4)}")
    if request.param == REAL:
        address = request.getfixturevalue("broker").address
        return over(lambda _: ZmqBus((address,), options), options)
    if request.param == NATS:
        return over(partial(nats_bus, [request.getfixturevalue("nats_server").address], options), options)
    if request.param == NATS_CLUSTER:
        return over(partial(nats_bus, request.getfixturevalue("nats_cluster").addresses, options), options)
    address = request.getfixturevalue("broker_with_keys").address
    mechanism = request.getfixturevalue("keys").node.load(1)[0].mechanism()
    return over(lambda _: ZmqBus((address,), options, [mechanism]), options)


@pytest_asyncio.fixture
async def cluster(make_factory: MakeFactory) -> AsyncIterator[Cluster]:
    """Three nodes that know each other."""
    async with open_cluster(make_factory) as cluster:
        yield cluster
