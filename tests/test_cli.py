"""The command line: help texts, and errors for invalid arguments."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.support.ports import free_port_block
from zmqio.cli import main
from zmqio.server.admin.password import PasswordHash


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for command in ("broker", "serve", "emit", "demo"):
        assert command in result.output


@pytest.mark.parametrize("command", sorted(main.commands.keys() - {"broker"}))
def test_help_of_every_command_has_an_example(command: str) -> None:
    assert f"Example: zmqio {command}" in CliRunner().invoke(main, [command, "--help"]).output


@pytest.mark.parametrize("value", ["hello", "{a: 1}", "'x'"])
def test_value_that_is_not_json_is_rejected_with_the_way_to_quote_text(value: str) -> None:
    result = CliRunner().invoke(main, ["emit", "news", value])
    assert result.exit_code == 2
    assert "value 1 is not JSON" in result.output
    assert "'\"text\"'" in result.output


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "1" * 310, "[" * 129 + "]" * 129])
def test_value_that_no_node_takes_is_a_wrong_value(value: str) -> None:
    result = CliRunner().invoke(main, ["emit", "news", value])
    assert result.exit_code == 2
    assert "value 1 is not JSON" in result.output


@pytest.mark.parametrize(("arguments", "reason"), [(["connect"], "reserved"), (["--to", "a\0", "x"], "NUL")])
def test_event_or_room_that_cannot_be_sent_is_a_wrong_value(arguments: list[str], reason: str) -> None:
    result = CliRunner().invoke(main, ["emit", *arguments])
    assert result.exit_code == 2
    assert reason in result.output


def test_emit_without_a_broker_fails_and_names_the_address() -> None:
    address = f"tcp://127.0.0.1:{free_port_block(4)}"
    result = CliRunner().invoke(main, ["emit", "--adapter", address, "--timeout", "0.2", "news"])
    assert result.exit_code == 1
    assert address in result.output
    assert "Traceback" not in result.output


def test_invalid_address_is_rejected_with_the_valid_forms() -> None:
    result = CliRunner().invoke(main, ["emit", "--adapter", "redis://x", "news"])
    assert result.exit_code == 2
    assert "tcp://host:port" in result.output


def test_broker_command_runs_the_broker() -> None:
    command = [sys.executable, "-m", "zmqio", "broker", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: zmqio broker [OPTIONS]\n")
    assert "Example: zmqio broker --bind" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["chat"], 2, "the form module:attribute"),
        (["chat:app", "--workers", "x"], 2, "workers='x'"),
        (["chat:app", "--acceptors", "x"], 2, "acceptors='x'"),
        (["chat:app", "--bind", "8000"], 2, "host:port"),
        (["chat:app", "--sticky", "sid", "--ssl-certfile", "x"], 2, "cannot work with TLS"),
        (["chat:app", "--ssl-certfile", "/no/such/file"], 2, "cannot load /no/such/file for TLS"),
        (["chat:app", "--broker", "redis://x"], 2, "tcp://host:port"),
    ],
)
def test_serve_rejects_invalid_options_in_one_line(arguments: list[str], code: int, message: str) -> None:
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == code
    assert message in result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1


def test_hash_of_a_password_is_all_that_is_printed() -> None:
    result = CliRunner().invoke(main, ["admin-password"], input="correct horse\n")
    assert result.exit_code == 0
    (line,) = result.output.splitlines()
    assert PasswordHash.parse(line).matches("correct horse")


def test_short_password_is_refused() -> None:
    result = CliRunner().invoke(main, ["admin-password"], input="short\n")
    assert result.exit_code == 1
    assert "use at least 8" in result.output


def test_help_has_an_example_of_every_command() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    for command in main.commands:
        assert f"\n    zmqio {command} " in text, command
        if command != "broker":
            assert "Example: zmqio" in CliRunner().invoke(main, [command, "--help"]).output, command
