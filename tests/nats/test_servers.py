"""Tests of `zmqio.nats.servers`."""

from zmqio.nats.addresses import NatsServer, parse_servers
from zmqio.nats.servers import ServerList


def test_given_servers_come_first_and_then_those_that_are_named() -> None:
    servers = ServerList(parse_servers("nats://a,nats://b"))
    servers.update(["c:4222", "a:4222"])
    tried = [servers.next().host for _ in range(4)]
    assert sorted(tried[:2]) == ["a", "b"]
    assert tried[2] == "c"
    assert tried[3] == tried[0]


def test_nodes_do_not_all_begin_with_the_same_server() -> None:
    given = parse_servers("nats://a,nats://b")
    assert {ServerList(given).next().host for _ in range(100)} == {"a", "b"}


def test_change_is_one_of_the_servers_and_not_of_their_order() -> None:
    servers = ServerList(parse_servers("nats://a"))
    assert servers.update(["b:1", "c:1"])
    assert not servers.update(["c:1", "b:1"])
    assert servers.update(["c:1"])
    assert servers.known == {NatsServer("a", 4222), NatsServer("c", 1)}


def test_given_server_that_is_no_longer_named_is_a_change() -> None:
    servers = ServerList(parse_servers("nats://a,nats://b"))
    assert servers.update(["a:4222", "b:4222"])
    assert servers.update(["a:4222"])
    assert servers.known == {NatsServer("a", 4222), NatsServer("b", 4222)}


def test_named_servers_use_tls_if_the_given_ones_do_and_nonsense_is_ignored() -> None:
    servers = ServerList(parse_servers("tls://a"))
    servers.update(["b:1", ":", "c:x"])
    assert servers.known == {NatsServer("a", 4222, tls=True), NatsServer("b", 1, tls=True)}
