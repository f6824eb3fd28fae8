"""Settings of a balancer reject invalid values with a reason."""

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
def test_valid_nodes_are_parsed(address: str, tag: str | None) -> None:
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
def test_invalid_nodes_are_rejected(text: str) -> None:
    with pytest.raises(ConfigError, match="node"):
        parse_backend(text)


@pytest.mark.parametrize("tag", ["", "abc", "abcde", "ab.c", "äbcd"])
def test_malformed_tag_is_rejected(tag: str) -> None:
    with pytest.raises(ConfigError, match="exactly 4 characters"):
        parse_backend(f"{tag}=127.0.0.1:8000")


@given(st.text())
def test_accepted_nodes_need_no_quoting(text: str) -> None:
    try:
        node = parse_backend(text)
    except ConfigError:
        return
    assert re.fullmatch(r"[A-Za-z0-9._:\[\]-]+", node.address)


def test_mode_tag_requires_the_tag_of_every_node() -> None:
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:8001 has none"):
        Balancing(NODES, "tag")


def test_at_least_one_node_is_required() -> None:
    with pytest.raises(ConfigError, match="no node given"):
        Balancing([])


def test_duplicate_tags_and_addresses_are_rejected() -> None:
    with pytest.raises(ConfigError, match="same address: a:1"):
        Balancing([Backend("a:1"), Backend("a:1")])
    with pytest.raises(ConfigError, match="same tag: aaaa"):
        Balancing([parse_backend("aaaa=a:1"), parse_backend("aaaa=b:1")])


@pytest.mark.parametrize("listen", ["", "0", "65536", "a b:1", "127.0.0.1:", "80;", ":80"])
def test_listen_must_be_a_port_with_or_without_a_host(listen: str) -> None:
    with pytest.raises(ConfigError, match="listen"):
        Balancing(NODES, listen=listen)


@pytest.mark.parametrize("path", ["", "/", "socket.io", "/socket.io/", "/a b", "/a;", "/a//b", "/{"])
def test_path_must_need_no_quoting(path: str) -> None:
    with pytest.raises(ConfigError, match="path"):
        Balancing(NODES, path=path)


def test_at_least_one_client_is_required() -> None:
    with pytest.raises(ConfigError, match="clients"):
        Balancing(NODES, clients=0)


@given(st.floats(0.01, 1e5), st.floats(0.01, 1e5))
def test_silence_limit_is_longer_than_the_heartbeat(interval_s: float, timeout_s: float) -> None:
    engine = EngineOptions(ping_interval_s=interval_s, ping_timeout_s=timeout_s)
    assert Balancing(NODES, engine=engine).silence_s > interval_s + timeout_s


def test_silence_limit_is_a_minute_by_default() -> None:
    assert Balancing(NODES).silence_s == 60
