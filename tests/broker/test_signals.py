import signal
import subprocess
import sys

import pytest

from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S

WAITER = f"""
from zmqio_broker.signals import StopSignals
signals = StopSignals()
assert signals.wait(0) is None
print("ready", flush=True)
print(signals.wait({LIMIT_S}))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_is_returned_by_name_and_does_not_end_the_process(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.read() == f"{number.name}\n"
    assert process.returncode == 0


PIPE_WAITER = f"""
import sys
from zmqio_broker.signals import StopSignals
signals = StopSignals()
signals.watch_pipe(sys.stdin.fileno())
assert signals.wait(0) is None
print("ready", flush=True)
print(signals.wait({LIMIT_S}))
"""


def test_end_of_a_pipe_is_returned_like_a_signal_and_its_data_is_ignored() -> None:
    command = [sys.executable, "-c", PIPE_WAITER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("something else\n")
        process.stdin.close()
        assert process.stdout.read() == "EOF\n"
    assert process.returncode == 0


def test_closed_standard_input_counts_as_its_end() -> None:
    command = ["sh", "-c", 'exec "$0" "$@" 0<&-', sys.executable, "-m", "zmqio_broker"]
    bind = f"tcp://127.0.0.1:{free_port_block(4)}"
    process = subprocess.run(
        [*command, "--bind", bind, "--stop-with-stdin"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "EOF" in process.stderr
