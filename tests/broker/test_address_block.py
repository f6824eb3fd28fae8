import socket
from collections.abc import Iterator

import pytest
from zmqio_broker.address_block import drop_from, filter_program

from tests.support.timing import LIMIT_S

KEEP, DROP = 0xFFFFFFFF, 0


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["ipv4", "ipv6"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family, host = request.param
    if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with socket.create_server((host, 0), family=family) as made:
        made.settimeout(LIMIT_S)
        yield made


def test_blocked_address_gets_no_answer_until_the_block_ends(listener: socket.socket) -> None:
    address = listener.getsockname()[:2]
    drop_from(listener.fileno(), ["10.1.2.3", "2001:db8::1", address[0]])
    with pytest.raises(TimeoutError):
        socket.create_connection(address, timeout=0.05)
    drop_from(listener.fileno(), [])
    with socket.create_connection(address, timeout=LIMIT_S):
        listener.accept()[0].close()


def test_other_addresses_are_accepted(listener: socket.socket) -> None:
    drop_from(listener.fileno(), ["127.0.0.2", "::2", "10.1.2.3", "unknown"])
    with socket.create_connection(listener.getsockname()[:2], timeout=LIMIT_S) as peer:
        accepted, _ = listener.accept()
        with accepted:
            peer.sendall(b"x")
            assert accepted.recv(1) == b"x"


def test_one_of_two_ipv4_addresses_is_blocked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        drop_from(listener.fileno(), ["::ffff:127.0.0.2"])  # as a socket for both versions shows it
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname(), 0.05, ("127.0.0.2", 0))
        socket.create_connection(listener.getsockname(), LIMIT_S, ("127.0.0.3", 0)).close()


def test_closed_and_other_sockets_are_left_alone() -> None:
    with socket.socket(socket.AF_UNIX) as other:
        descriptor = other.fileno()
        drop_from(descriptor, ["127.0.0.1"])
    drop_from(descriptor, ["127.0.0.1"])


@pytest.mark.parametrize("hosts", [[], ["unknown"], ["name.example"]])
def test_without_an_address_there_is_no_program(hosts: list[str]) -> None:
    assert filter_program(hosts) == []


def test_jumps_lead_to_the_next_address_or_the_end() -> None:
    program = filter_program(["127.0.0.1", "fe80::1%eth0"])
    returns = [at for at, (code, _, _, _) in enumerate(program) if code == 6]
    assert [program[at][3] for at in returns] == [DROP, DROP, KEEP]
    targets = {at + 1 + if_false for at, (code, _, if_false, _) in enumerate(program) if code == 0x15}
    assert targets == {returns[0] + 1, returns[1] + 1}
