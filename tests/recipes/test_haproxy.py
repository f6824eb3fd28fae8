"""The HAProxy configuration, as text and as checked by HAProxy itself."""

import re

import pytest

from tests.support.balancers import check_haproxy
from zmqio.config import EngineOptions
from zmqio.recipes.balancing import MODES, Balancing, Mode, parse_backend
from zmqio.recipes.haproxy import haproxy_conf

NODES = [parse_backend(text) for text in ("Tag1=127.0.0.1:8000", "tAG1=[::1]:8000", "-__9=localhost:8000")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("listen", ["8080", "127.0.0.1:8080", "[::1]:8080", "*:8080"])
def test_haproxy_accepts_it(mode: Mode, listen: str) -> None:
    result = check_haproxy(haproxy_conf(Balancing(NODES, mode, listen)))
    assert result.startswith("exit code 0\n"), result
    assert "WARNING" not in result


def test_every_mode_has_its_balancing_rule() -> None:
    address, tag, round_robin = (
        haproxy_conf(Balancing(NODES, mode)) for mode in ("address", "tag", "round-robin")
    )
    assert "\n    balance source\n    hash-type consistent\n" in address
    assert re.findall(r"use-server (\w+) if \{ url_param\(sid\) -m beg -- (\S+) \}", tag) == [
        ("node1", "Tag1"),
        ("node2", "tAG1"),
        ("node3", "-__9"),
    ]
    assert "\n    balance roundrobin\n" in round_robin
    assert "use-server" not in address + round_robin


@pytest.mark.parametrize("mode", MODES)
def test_every_node_is_a_server(mode: Mode) -> None:
    found = re.findall(r"^    server (\w+) (\S+)$", haproxy_conf(Balancing(NODES, mode)), re.M)
    assert found == [("node1", "127.0.0.1:8000"), ("node2", "[::1]:8000"), ("node3", "localhost:8000")]


def test_limits_follow_the_nodes_options() -> None:
    engine = EngineOptions(ping_interval_s=100, ping_timeout_s=50.5)
    text = haproxy_conf(Balancing(NODES, clients=300, engine=engine))
    for name in ("client", "server", "tunnel"):
        assert f"\n    timeout {name} 166s\n" in text
    assert "\n    maxconn 600\n" in text


def test_only_requests_that_were_not_sent_are_repeated() -> None:
    assert re.findall(r"retry-on (.*)", haproxy_conf(Balancing(NODES))) == ["conn-failure"]


@pytest.mark.parametrize("mode", MODES)
def test_lines_fit_a_terminal(mode: Mode) -> None:
    assert max(map(len, haproxy_conf(Balancing(NODES, mode)).splitlines())) <= 115


OUTER = ("10.0.0.0/8", "192.0.2.7", "::1")


def test_haproxy_accepts_outer_proxies() -> None:
    text = haproxy_conf(Balancing(NODES, outer_proxies=OUTER))
    result = check_haproxy(text)
    assert result.startswith("exit code 0\n"), result
    assert "WARNING" not in result
    assert max(map(len, text.splitlines())) <= 115
    assert re.findall("acl from_outer_proxy src (.*)", text) == list(OUTER)
