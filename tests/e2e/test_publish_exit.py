"""Processes that emit and exit: all requests are sent, in whatever way the process exits."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.broker import BrokerProcess
from tests.support.cluster import process_environment
from tests.support.ports import free_port_block
from tests.support.subscriber import tap
from tests.support.timing import LIMIT_S
from zmqio.protocol.publish import decode_request
from zmqio.protocol.topic import split

COUNT = 1_000
EMIT = f"[emitter.emit('news', number) for number in range({COUNT})]"
WAYS = {
    "end of the script": f"{EMIT}",
    "sys.exit": f"{EMIT}; sys.exit(0)",
    "close": f"{EMIT}; emitter.close(); os._exit(0)",
    "flush": f"{EMIT}; emitter.flush({LIMIT_S}); os._exit(0)",
    "an uncaught error": f"{EMIT}; 1 / 0",
    "forgotten before the end": f"{EMIT}; del emitter",
    "end of a multiprocessing child": (
        "import multiprocessing\n"
        f"def work():\n    {EMIT}\n"
        "child = multiprocessing.get_context('fork').Process(target=work)\n"
        "child.start()\nchild.join()"
    ),
    "child after the parent has emitted": (
        "import multiprocessing\n"
        f"emitter.emit('first')\nemitter.flush({LIMIT_S})\n"
        f"def work():\n    {EMIT}\n"
        "child = multiprocessing.get_context('fork').Process(target=work)\n"
        "child.start()\nchild.join()"
    ),
    "thread that outlives the main one": (
        f"import threading\ndef work():\n    {EMIT}\nthreading.Thread(target=work).start()"
    ),
    "asyncio program without close": (
        "import asyncio\nfrom zmqio.emitter import AsyncEmitter\n"
        "asynchronous = AsyncEmitter(sys.argv[1], **limits)\n"
        f"async def work():\n    for number in range({COUNT}): await asynchronous.emit('news', number)\n"
        "asyncio.run(work())"
    ),
}


@pytest.fixture(scope="module")
def ingest_broker() -> Iterator[BrokerProcess]:
    with BrokerProcess() as process:
        yield process


def run(program: str, address: str, **limits: float) -> subprocess.CompletedProcess[str]:
    """Run a program with an emitter that has these limits of time."""
    text = (
        f"import os, sys\nfrom zmqio.emitter import Emitter\nlimits = {limits}\n"
        f"emitter = Emitter(sys.argv[1], **limits)\n{program}\n"
    )
    return subprocess.run(
        [sys.executable, "-c", text, address],
        env=process_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * LIMIT_S,
        check=False,
    )


@pytest.mark.parametrize("way", WAYS)
def test_emitted_requests_are_sent_when_the_process_ends(way: str, ingest_broker: BrokerProcess) -> None:
    with tap(ingest_broker.endpoint("subscribe"), b"zmqio/n/") as nodes:
        done = run(WAYS[way], ingest_broker.address, send_timeout_s=LIMIT_S, close_timeout_s=LIMIT_S)
        requests = [decode_request(split(frame)[1]) for frame in nodes.take(COUNT + ("first" in WAYS[way]))]
    assert done.returncode == (1 if "/ 0" in WAYS[way] else 0), done.stderr
    news = [request.args for request in requests if request.event == "news"]
    assert news == [(number,) for number in range(COUNT)]


@pytest.mark.parametrize("ending", ["emitter.emit('news')", "emitter.flush()"])
def test_without_a_broker_a_script_ends_with_an_error_that_names_the_address(ending: str) -> None:
    address = f"tcp://127.0.0.1:{free_port_block(4)}"
    done = run(ending, address)
    assert done.returncode == 1
    assert "BusUnavailableError" in done.stderr
    assert address in done.stderr
    assert "2 s" in done.stderr
