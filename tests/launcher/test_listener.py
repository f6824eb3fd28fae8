"""Addresses and listening sockets of a server."""

import socket
import sys
from pathlib import Path

import pytest

from zmqio.exceptions import ConfigError, ServeError
from zmqio.launcher.listener import (
    BindAddress,
    listen,
    listen_group,
    listener_url,
    parse_bind,
    remove_socket_file,
)


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:8000", BindAddress(host="127.0.0.1", port=8000)),
        ("localhost:0", BindAddress(host="localhost")),
        ("[::1]:80", BindAddress(host="::1", port=80)),
        ("unix:/run/app.sock", BindAddress(path="/run/app.sock")),
    ],
)
def test_addresses_are_parsed(text: str, bind: BindAddress) -> None:
    assert parse_bind(text) == bind


@pytest.mark.parametrize("text", ["", "8000", ":8000", "127.0.0.1", "h:65536", "h:x", "::1:80", "[h]:80", "unix:"])
def test_text_of_another_form_is_rejected(text: str) -> None:
    with pytest.raises(ConfigError, match="host:port"):
        parse_bind(text)


def test_port_in_use_is_reported_with_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServeError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            listen(BindAddress(host="127.0.0.1", port=port))


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1), (2, 2)])
def test_port_of_a_group_is_in_use_for_another_group(first: int, second: int) -> None:
    group = listen_group(BindAddress(host="127.0.0.1"), first)
    port = group[0].getsockname()[1]
    with pytest.raises(ServeError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
        listen_group(BindAddress(host="127.0.0.1", port=port), second)
    for listener in group:
        listener.close()
    for listener in listen_group(BindAddress(host="127.0.0.1", port=port), second):
        listener.close()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_every_connection_is_queued_at_one_socket_of_a_group(kind: str, tmp_path: Path) -> None:
    group = listen_group(
        BindAddress(path=str(tmp_path / "s")) if kind == "unix" else BindAddress(host="127.0.0.1"), 3
    )
    address = group[0].getsockname()
    assert {listener.getsockname() for listener in group} == {address}
    ends = []
    for _ in range(60):
        ends.append(socket.socket(group[0].family))
        ends[-1].connect(address)
    accepted = []
    for listener in group:
        before = len(accepted)
        with pytest.raises(BlockingIOError):
            while True:
                accepted.append(listener.accept()[0])
        if kind == "tcp" and sys.platform == "linux":
            assert len(accepted) > before  # the kernel spreads them
    assert len(accepted) == 60
    for end in (*ends, *accepted, *group):
        end.close()


def test_single_listener_does_not_share_its_port() -> None:
    (listener,) = listen_group(BindAddress(host="127.0.0.1"), 1)
    with listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0


def test_url_has_the_actual_port() -> None:
    with listen(BindAddress(host="127.0.0.1")) as listener:
        port = listener.getsockname()[1]
        assert listener_url(listener, tls=False) == f"http://127.0.0.1:{port}"
        assert listener_url(listener, tls=True) == f"https://127.0.0.1:{port}"


def test_unix_socket_is_taken_over_only_from_a_dead_server(tmp_path: Path) -> None:
    bind = BindAddress(path=str(tmp_path / "app.sock"))
    with listen(bind), pytest.raises(ServeError, match="in use"):
        listen(bind)
    with listen(bind) as second:
        assert listener_url(second, tls=False) == f"unix:{bind.path}"
        remove_socket_file(bind)
        assert not Path(bind.path).exists()


def test_file_that_is_not_a_socket_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ServeError):
        listen(BindAddress(path=str(path)))
    assert path.read_text() == "data"
