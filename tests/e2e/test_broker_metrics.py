"""`zmqio broker --metrics`: a scrape of a real broker."""

import subprocess
import sys
import urllib.request

from tests.support.broker import BrokerProcess
from tests.support.ports import free_port, free_port_block
from tests.support.prometheus import parse_values
from tests.support.timing import LIMIT_S, wait_until
from zmqio import Emitter


def scrape(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT_S) as answer:
        return parse_values(answer.read().decode())


async def test_broker_exposes_what_outside_publishers_sent() -> None:
    port = free_port()
    async with BrokerProcess("--metrics", str(port)) as broker:
        with Emitter(broker.address) as emitter:
            for number in range(7):
                emitter.emit("news", number)
            emitter.flush(LIMIT_S)
        await wait_until(lambda: scrape(port).get("zmqio_broker_ingest_messages_total") == 7, "the statistics")


def test_address_in_use_is_one_clear_line() -> None:
    port = free_port()
    bind = f"tcp://127.0.0.1:{free_port_block(4)}"
    with BrokerProcess("--metrics", str(port)):
        command = [sys.executable, "-m", "zmqio_broker", "--bind", bind, "--metrics", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.returncode == 1
    assert f"cannot serve metrics at {port}" in done.stderr
    assert "Traceback" not in done.stderr
