"""Tests of `zmqio.zeromq.endpoints`."""

import pytest

from zmqio.exceptions import ConfigError
from zmqio.zeromq.endpoints import Endpoints, endpoints_of


def test_tcp_base_port_is_control_and_the_next_three_ports_are_the_others():
    assert endpoints_of("tcp://10.0.0.7:5555") == Endpoints(
        "tcp://10.0.0.7:5555", "tcp://10.0.0.7:5556", "tcp://10.0.0.7:5557", "tcp://10.0.0.7:5558"
    )


def test_ipv6_host_keeps_its_brackets():
    assert endpoints_of("tcp://[::1]:5555").ingest == "tcp://[::1]:5558"


def test_ipc_path_is_control_and_the_others_have_suffixes():
    assert endpoints_of("ipc:///run/zmqio") == Endpoints(
        "ipc:///run/zmqio", "ipc:///run/zmqio.publish", "ipc:///run/zmqio.subscribe", "ipc:///run/zmqio.ingest"
    )


@pytest.mark.parametrize("address", ["tcp://h:65533", "tcp://h", "udp://h:1", "ipc://", "tcp://:5555"])
def test_invalid_address_is_rejected(address):
    with pytest.raises(ConfigError):
        endpoints_of(address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:5555", "tcp://[::1]:7000", "ipc:///run/zmqio"])
def test_node_and_broker_derive_the_same_endpoints(address):
    from zmqio_broker.endpoints import BrokerEndpoints

    broker, node = BrokerEndpoints.from_base(address), endpoints_of(address)
    assert broker.by_role() == {role: getattr(node, role) for role in broker.by_role()}


@pytest.mark.parametrize(
    ("address", "host"),
    [("tcp://bus.example:5555", "bus.example"), ("tcp://[::1]:5555", "::1"), ("ipc:///run/zmqio", "")],
)
def test_host_is_the_same_for_all_endpoints_of_an_address(address, host):
    assert endpoints_of(address).host == host
