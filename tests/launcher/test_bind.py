"""Where a server listens."""

import socket
from pathlib import Path

import pytest

from zmqio.exceptions import ConfigError, ServeError
from zmqio.launcher.bind import Bind, describe, listen, parse_bind, remove


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:8000", Bind(host="127.0.0.1", port=8000)),
        ("localhost:0", Bind(host="localhost")),
        ("[::1]:80", Bind(host="::1", port=80)),
        ("unix:/run/app.sock", Bind(path="/run/app.sock")),
    ],
)
def test_addresses(text: str, bind: Bind) -> None:
    assert parse_bind(text) == bind


@pytest.mark.parametrize("text", ["", "8000", ":8000", "127.0.0.1", "h:65536", "h:x", "::1:80", "[h]:80", "unix:"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="host:port"):
        parse_bind(text)


def test_port_in_use_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServeError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            listen(Bind(host="127.0.0.1", port=port))


def test_url_has_the_real_port() -> None:
    with listen(Bind(host="127.0.0.1")) as listener:
        port = listener.getsockname()[1]
        assert describe(listener, tls=False) == f"http://127.0.0.1:{port}"
        assert describe(listener, tls=True) == f"https://127.0.0.1:{port}"


def test_unix_socket_of_a_dead_server_is_taken_over_and_of_a_living_one_is_not(tmp_path: Path) -> None:
    bind = Bind(path=str(tmp_path / "app.sock"))
    with listen(bind), pytest.raises(ServeError, match="in use"):
        listen(bind)
    with listen(bind) as second:
        assert describe(second, tls=False) == f"unix:{bind.path}"
        remove(bind)
        assert not Path(bind.path).exists()


def test_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ServeError):
        listen(Bind(path=str(path)))
    assert path.read_text() == "data"
