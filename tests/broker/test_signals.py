import signal
import subprocess
import sys

import pytest

from tests.support.timing import LIMIT_S

WAITER = f"""
from zmqio_broker.signals import StopSignals
signals = StopSignals()
assert signals.wait(0) is None
print("ready", flush=True)
print(signals.wait({LIMIT_S}))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_is_told_by_name_and_ends_nothing_by_itself(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.read() == f"{number.name}\n"
    assert process.returncode == 0
