import socket
import sys
from collections.abc import Iterator

import pytest
from zmqio_broker.connection_samples import peer_address, take_sample

from tests.support.timing import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the counters are those of Linux")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as near:
        far, _ = server.accept()
        with far:
            yield near, far


async def test_bytes_read_and_confirmed_are_counted(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    near.sendall(bytes(1_000))
    assert len(far.recv(600, socket.MSG_WAITALL)) == 600
    await wait_until(lambda: (take_sample(near.fileno()) or 0).sent >= 1_000, "the confirmation")
    sample = take_sample(far.fileno())
    assert sample is not None
    assert sample.received == 600


async def test_bytes_that_the_peer_does_not_read_are_unsent(pair: tuple[socket.socket, socket.socket]) -> None:
    near, _ = pair
    near.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            near.send(bytes(100_000))
    await wait_until(lambda: (take_sample(near.fileno()) or 0).unsent > 0, "unsent bytes")


def test_sampled_connection_stays_open(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    for _ in range(3):
        take_sample(near.fileno())
        assert peer_address(near.fileno()) == f"127.0.0.1:{far.getsockname()[1]}"
    near.sendall(b"x")
    assert far.recv(1) == b"x"


def test_other_descriptors_have_no_sample() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert take_sample(here.fileno()) is None
        assert peer_address(here.fileno()) == "unknown"
        closed = here.fileno()
    assert take_sample(closed) is None
    assert peer_address(closed) == "unknown"
