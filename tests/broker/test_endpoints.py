import pytest
from zmqio_broker.endpoints import AddressError, BrokerEndpoints


def test_tcp_base_address_gives_four_adjacent_ports() -> None:
    assert BrokerEndpoints.from_base("tcp://127.0.0.1:5555").by_role() == {
        "control": "tcp://127.0.0.1:5555",
        "publish": "tcp://127.0.0.1:5556",
        "subscribe": "tcp://127.0.0.1:5557",
        "ingest": "tcp://127.0.0.1:5558",
    }


def test_ipc_base_address_gives_four_paths() -> None:
    assert BrokerEndpoints.from_base("ipc:///run/zmqio").by_role() == {
        "control": "ipc:///run/zmqio",
        "publish": "ipc:///run/zmqio.publish",
        "subscribe": "ipc:///run/zmqio.subscribe",
        "ingest": "ipc:///run/zmqio.ingest",
    }


def test_ports_are_advertised_without_hosts() -> None:
    advertised = BrokerEndpoints.from_base("tcp://10.1.2.3:7000").advertised()
    assert advertised == {"ports": {"control": 7000, "publish": 7001, "subscribe": 7002, "ingest": 7003}}


def test_paths_are_advertised() -> None:
    assert BrokerEndpoints.from_base("ipc://b").advertised()["paths"]["ingest"] == "b.ingest"


@pytest.mark.parametrize("host", ["*", "[::1]", "0.0.0.0", "broker.internal"])
def test_any_host_is_kept(host: str) -> None:
    assert BrokerEndpoints.from_base(f"tcp://{host}:65532").ingest == f"tcp://{host}:65535"


@pytest.mark.parametrize(
    "address", ["", "5555", "tcp://", "tcp://h", "tcp://:5555", "tcp://h:0", "tcp://h:x", "inproc://a", "ipc://"]
)
def test_address_that_cannot_be_bound_is_rejected(address: str) -> None:
    with pytest.raises(AddressError, match=r"(tcp|ipc)://"):
        BrokerEndpoints.from_base(address)


def test_port_too_high_for_three_more_is_rejected_with_the_highest_allowed() -> None:
    with pytest.raises(AddressError, match="65532"):
        BrokerEndpoints.from_base("tcp://h:65533")


def test_path_too_long_for_the_kernel_is_rejected_with_the_excess() -> None:
    BrokerEndpoints.from_base("ipc://" + "p" * 97)
    with pytest.raises(AddressError, match="3 bytes shorter"):
        BrokerEndpoints.from_base("ipc://" + "p" * 100)
