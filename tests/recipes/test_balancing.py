"""Options of a balancer refuse what cannot work, and say why."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.config import EngineOptions
from zmqio.exceptions import ConfigError
from zmqio.recipes.balancing import Backend, Balancing, parse_backend

NODES = [parse_backend("aaaa=127.0.0.1:8000"), parse_backend("127.0.0.1:8001")]


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "chat-1.internal:1", "[::1]:65535", "node_1:80"])
@pytest.mark.parametrize("tag", ["aaaa", "-_-9", None])
def test_nodes_that_work(address: str, tag: str | None) -> None:
    node = parse_backend(address if tag is None else f"{tag}={address}")
    assert (node.address, node.tag) == (address, tag)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1",
        ":8000",
        "::1:8000",
        "a:0",
        "a:65536",
        "a:8000;",
        "a b:1",
        "a{:1",
        "http://a:1",
        "=a:1",
        "a:1\n",
    ],
)
def test_nodes_that_cannot_work_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="node"):
        parse_backend(text)


@pytest.mark.parametrize("tag", ["", "abc", "abcde", "ab.c", "äbcd"])
def test_tag_of_another_shape_is_refused(tag: str) -> None:
    with pytest.raises(ConfigError, match="exactly 4 characters"):
        parse_backend(f"{tag}=127.0.0.1:8000")


@given(st.text())
def test_whatever_is_taken_needs_no_quoting(text: str) -> None:
    try:
        node = parse_backend(text)
    except ConfigError:
        return
    assert re.fullmatch(r"[A-Za-z0-9._:\[\]-]+", node.address)


def test_by_tag_every_node_needs_one() -> None:
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:8001 has none"):
        Balancing(NODES, "tag")


def test_without_nodes_there_is_nothing_to_balance() -> None:
    with pytest.raises(ConfigError, match="at least one node"):
        Balancing([])


def test_same_tag_or_address_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="address a:1"):
        Balancing([Backend("a:1"), Backend("a:1")])
    with pytest.raises(ConfigError, match="tag aaaa"):
        Balancing([parse_backend("aaaa=a:1"), parse_backend("aaaa=b:1")])


@pytest.mark.parametrize("listen", ["", "0", "65536", "a b:1", "127.0.0.1:", "80;", ":80"])
def test_listen_has_to_be_a_port_with_or_without_a_host(listen: str) -> None:
    with pytest.raises(ConfigError, match="listen"):
        Balancing(NODES, listen=listen)


@pytest.mark.parametrize("path", ["", "/", "socket.io", "/socket.io/", "/a b", "/a;", "/a//b", "/{"])
def test_path_has_to_be_plain(path: str) -> None:
    with pytest.raises(ConfigError, match="path"):
        Balancing(NODES, path=path)


def test_some_client_has_to_fit() -> None:
    with pytest.raises(ConfigError, match="clients"):
        Balancing(NODES, clients=0)


@given(st.floats(0.01, 1e5), st.floats(0.01, 1e5))
def test_silence_leaves_the_heartbeat_its_time(interval_s: float, timeout_s: float) -> None:
    engine = EngineOptions(ping_interval_s=interval_s, ping_timeout_s=timeout_s)
    assert Balancing(NODES, engine=engine).silence_s > interval_s + timeout_s


def test_silence_is_a_minute_by_default() -> None:
    assert Balancing(NODES).silence_s == 60
