"""The nginx configuration, as text and as checked by nginx itself."""

import re
from pathlib import Path

import pytest

from tests.support.balancers import check_nginx
from zmqio.config import EngineOptions
from zmqio.exceptions import ConfigError
from zmqio.recipes.balancing import MODES, Balancing, Mode, parse_backend
from zmqio.recipes.nginx import nginx_conf

NODES = [parse_backend(text) for text in ("Tag1=127.0.0.1:8000", "tAG1=[::1]:8000", "-__9=localhost:8000")]


def directives(text: str, name: str) -> list[str]:
    """Return the arguments of every use of a directive."""
    return re.findall(rf"^\s*{name}\s+(.*?);", text, re.M)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("listen", ["8080", "127.0.0.1:8080", "[::1]:8080", "*:8080"])
def test_nginx_accepts_it(mode: Mode, listen: str, tmp_path: Path) -> None:
    result = check_nginx(nginx_conf(Balancing(NODES, mode, listen, path="/a/b.c"), run_dir=str(tmp_path)))
    assert result.startswith("exit code 0\n"), result
    assert "[warn]" not in result


def test_nginx_accepts_fifty_nodes_by_tag(tmp_path: Path) -> None:
    nodes = [parse_backend(f"n_{number:02}=127.0.0.1:{9000 + number}") for number in range(50)]
    result = check_nginx(nginx_conf(Balancing(nodes, "tag"), run_dir=str(tmp_path)))
    assert result.startswith("exit code 0\n"), result


def test_every_mode_has_its_balancing_rule() -> None:
    address, tag, round_robin = (nginx_conf(Balancing(NODES, mode)) for mode in ("address", "tag", "round-robin"))
    assert "\n        ip_hash;" in address
    assert '\n        "~^Tag1" zmqio_1;\n        "~^tAG1" zmqio_2;\n        "~^-__9" zmqio_3;\n' in tag
    assert directives(tag, "proxy_pass") == ["http://$zmqio_node", "http://zmqio"]
    assert directives(round_robin, "proxy_pass") == ["http://zmqio"] * 3
    for text in (tag, round_robin):
        assert "\n        ip_hash;" not in text


def test_new_sessions_can_reach_every_node() -> None:
    for mode in MODES:
        servers = directives(nginx_conf(Balancing(NODES, mode)), "server")
        assert [line.split()[0] for line in servers[:3]] == ["127.0.0.1:8000", "[::1]:8000", "localhost:8000"]


def test_limits_follow_the_nodes_options() -> None:
    engine = EngineOptions(ping_interval_s=100, ping_timeout_s=50.5, max_payload_bytes=5_000_000)
    text = nginx_conf(Balancing(NODES, clients=300, engine=engine))
    for name in ("proxy_read_timeout", "proxy_send_timeout", "send_timeout"):
        assert directives(text, name) == ["166s"]
    assert directives(text, "client_max_body_size") == ["5000000"]
    assert directives(text, "worker_connections") == ["600"]
    assert int(directives(text, "worker_rlimit_nofile")[0]) > 600


@pytest.mark.parametrize(("mode", "repeated"), [("address", "error"), ("tag", "error"), ("round-robin", "off")])
def test_no_sent_post_is_repeated_and_no_sent_request_where_nodes_forward_polls(mode: Mode, repeated: str) -> None:
    text = nginx_conf(Balancing(NODES, mode))
    assert directives(text, "proxy_next_upstream") == [repeated]
    assert ("@unsent" in text) == (repeated == "off")


def test_nginx_writes_all_its_files_to_run_dir() -> None:
    text = nginx_conf(Balancing(NODES), run_dir="/tmp/with a blank")
    assert directives(text, "pid") == ['"/tmp/with a blank/nginx.pid"']
    assert len(re.findall(r'temp_path "/tmp/with a blank/\w+";', text)) == 5
    assert "temp_path" not in nginx_conf(Balancing(NODES))


@pytest.mark.parametrize("folder", ['a"b', "a$b", "a\\b", "a\nb", ""])
def test_run_dir_that_cannot_be_quoted_is_rejected(folder: str) -> None:
    with pytest.raises(ConfigError, match="run_dir"):
        nginx_conf(Balancing(NODES), run_dir=folder)


@pytest.mark.parametrize("mode", MODES)
def test_lines_fit_a_terminal(mode: Mode) -> None:
    assert max(map(len, nginx_conf(Balancing(NODES, mode)).splitlines())) <= 115


OUTER = ("10.0.0.0/8", "192.0.2.7", "::1")


def test_nginx_accepts_outer_proxies(tmp_path: Path) -> None:
    text = nginx_conf(Balancing(NODES, outer_proxies=OUTER), run_dir=str(tmp_path))
    result = check_nginx(text)
    assert result.startswith("exit code 0\n"), result
    assert "[warn]" not in result
    assert max(map(len, text.splitlines())) <= 115
    assert directives(text, "set_real_ip_from") == list(OUTER)
    assert directives(text, "proxy_set_header")[4] == "X-Forwarded-Proto $outer_proto"
