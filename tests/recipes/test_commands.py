"""`zmqio nginx-conf` and `zmqio haproxy-conf` print a configuration."""

import pytest
from click.testing import CliRunner

from zmqio.cli import main
from zmqio.config import EngineOptions
from zmqio.recipes.balancing import Balancing, parse_backend
from zmqio.recipes.haproxy import haproxy_conf
from zmqio.recipes.nginx import nginx_conf

COMMANDS = ("nginx-conf", "haproxy-conf")
NODES = ("aaaa=127.0.0.1:8000", "bbbb=127.0.0.1:8001")


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


def test_help_lists_both_commands() -> None:
    _, output = run("--help")
    for command in COMMANDS:
        assert command in output


def test_every_option_reaches_the_configuration() -> None:
    given = "--mode tag --listen 8080 --path /chat --clients 9 --ping-interval 3 --ping-timeout 4 --max-payload 5"
    given += " --outer-proxy 10.0.0.0/8 --outer-proxy ::1"
    engine = EngineOptions(ping_interval_s=3, ping_timeout_s=4, max_payload_bytes=5)
    balancing = Balancing(
        [parse_backend(node) for node in NODES], "tag", "8080", "/chat", 9, engine, ("10.0.0.0/8", "::1")
    )
    options = ["--node", NODES[0], "--node", NODES[1], *given.split()]
    assert run("nginx-conf", *options, "--run-dir", "/x") == (0, nginx_conf(balancing, "/x"))
    assert run("haproxy-conf", *options) == (0, haproxy_conf(balancing))


@pytest.mark.parametrize("command", COMMANDS)
def test_defaults_are_those_of_the_nodes(command: str) -> None:
    balancing = Balancing([parse_backend("127.0.0.1:8000")])
    expected = nginx_conf(balancing) if command == "nginx-conf" else haproxy_conf(balancing)
    assert run(command, "--node", "127.0.0.1:8000") == (0, expected)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing option '--node'"),
        (("--node", "8000"), "not host:port"),
        (("--node", "a:1", "--mode", "tag"), "write TAG=host:port"),
        (("--node", "a:1", "--ping-interval", "0"), "ping_interval_s"),
        (("--node", "a:1", "--outer-proxy", "10.0.0.1/8"), "outer proxy '10.0.0.1/8' is not an address"),
        (("--node", "a:1", "--mode", "cookie"), "round-robin"),
    ],
)
def test_invalid_options_are_rejected_with_the_reason(
    command: str, arguments: tuple[str, ...], words: str
) -> None:
    code, output = run(command, *arguments)
    assert code != 0
    assert words in output
    assert "Traceback" not in output
