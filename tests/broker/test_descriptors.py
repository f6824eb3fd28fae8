"""The reserve of descriptors, and closing a connection by its number."""

import resource
import socket

import pytest
from zmqio_broker.descriptors import close_connection, connection_limit, raise_open_files_limit


@pytest.mark.parametrize(
    ("files", "limit"), [(200, 150), (1_024, 768), (8_192, 7_168), (1 << 20, (1 << 20) - 1_024)]
)
def test_reserve_is_a_quarter_and_at_most_1024(monkeypatch: pytest.MonkeyPatch, files: int, limit: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert connection_limit() == limit


def test_soft_limit_is_raised_to_the_hard_limit() -> None:
    raise_open_files_limit()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
def test_connection_of_any_family_is_shut_down_and_stays_open_here(family: socket.AddressFamily) -> None:
    if family == socket.AF_UNIX:
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server(
            ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family
        ) as server:
            theirs = socket.socket(family)
            theirs.connect(server.getsockname())
            ours, _ = server.accept()
    with ours, theirs:
        close_connection(ours.fileno())
        assert theirs.recv(1) == b""
        assert ours.fileno() >= 0
        assert ours.recv(1) == b""


def test_closed_descriptors_and_other_files_are_ignored() -> None:
    with socket.socket() as closed:
        number = closed.fileno()
    close_connection(number)
    with open(__file__, "rb") as file:  # noqa: PTH123
        close_connection(file.fileno())
        assert file.read(3) == b'"""'
