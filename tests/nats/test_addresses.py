"""Tests of `zmqio.nats.addresses`."""

import pytest

from zmqio.exceptions import ConfigError
from zmqio.nats.addresses import NatsServer, parse_servers, server_of


def test_port_has_a_default_and_commas_separate_servers() -> None:
    assert parse_servers("nats://a, nats://[::1]:5000") == (NatsServer("a", 4222), NatsServer("::1", 5000))
    assert [str(server) for server in parse_servers("tls://a,tls://[::1]:1")] == ["tls://a:4222", "tls://[::1]:1"]


def test_user_and_password_are_unquoted_and_not_shown() -> None:
    (server,) = parse_servers("nats://me:p%40ss@a:1")
    assert (server.user, server.password) == ("me", "p@ss")
    assert "p@ss" not in repr(server) + str(server)


def test_a_name_alone_is_a_token() -> None:
    (server,) = parse_servers("nats://s3cret@a:1")
    assert (server.user, server.password) == ("", "s3cret")


@pytest.mark.parametrize(
    "text",
    ["tcp://a:1", "nats://", "nats://:1", "nats://a:x", "nats://a:99999", "nats://a/path", "a:1", "nats://a?b=c"],
)
def test_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="neither 'nats://host:port' nor 'tls://host:port'"):
        parse_servers(text)


def test_password_of_an_invalid_address_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_servers("nats://me:s3cret@a:x")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("nats://a,nats://a:4222", "only once"), ("nats://a,tls://b", "for all"), (" , ", "no server address")],
)
def test_list_must_make_sense(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_servers(text)


def test_endpoint_that_a_server_names() -> None:
    assert server_of("10.0.0.1:4222", tls=True) == NatsServer("10.0.0.1", 4222, tls=True)
    assert server_of("[fe80::1]:4222", tls=False) == NatsServer("fe80::1", 4222)
    assert server_of("", tls=False) is None
    assert server_of("a:x", tls=False) is None
