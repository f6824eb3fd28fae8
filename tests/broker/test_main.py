import subprocess
import sys

import pytest
from click.testing import CliRunner
from zmqio_broker.__main__ import cli


def test_help_names_every_option_and_the_four_ports() -> None:
    text = CliRunner().invoke(cli, ["--help"]).output
    for word in ("--bind", "--node-queue-messages", "--max-message-bytes", "--log-format", "--stats-interval"):
        assert word in text
    assert "control PORT, publish +1, subscribe +2, ingest +3" in " ".join(text.split())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--bind", "localhost"], "tcp://host:port"),
        (["--bind", "tcp://h:65535"], "65532"),
        (["--node-queue-messages", "0"], "--node-queue-messages"),
        (["--stats-interval", "-1"], "--stats-interval"),
    ],
)
def test_wrong_option_gives_one_clear_message_and_exit_code_2(arguments: list[str], reason: str) -> None:
    command = [sys.executable, "-m", "zmqio_broker", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    assert reason in result.stderr
    assert "Traceback" not in result.stderr
