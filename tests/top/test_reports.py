"""What `zmqio top` and `zmqio status` print, in a terminal and in scripts."""

import asyncio
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fcntl import ioctl

import zmqio
from tests.support.broker import BrokerProcess
from tests.support.cluster import ROOT, process_environment
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S, wait_until


async def run(*arguments: str) -> tuple[int, str, str]:
    """Run the command beside this process's event loop; return exit code, output and errors."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "zmqio", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=process_environment(),
        timeout=3 * LIMIT_S,
    )
    return done.returncode, done.stdout, done.stderr


async def status_in_time(expected: tuple[int, str, str], *arguments: str) -> tuple[int, str, str]:
    """Run `zmqio status` with a short time limit; if that shows too little, with a long one."""
    found = await run("status", *arguments, "--timeout", "0.5")
    return found if found == expected else await run("status", *arguments, "--timeout", str(LIMIT_S))


@asynccontextmanager
async def cluster() -> AsyncIterator[tuple[BrokerProcess, str]]:
    """A broker and the id of one node."""
    async with BrokerProcess() as broker, zmqio.Server(broker.address) as io:
        await wait_until(lambda: io.health().ready, "the node")
        yield broker, io.node_id


async def test_scripts_read_status_and_json() -> None:
    async with cluster() as (broker, node_id):
        limit = ("--timeout", str(LIMIT_S))
        assert await run("status", broker.address, *limit) == (0, "ready: 1 node, 1 broker, 0 sessions\n", "")
        expected = (1, "not ready: 1 node ready, 2 required\n", "")
        assert await status_in_time(expected, broker.address, "--nodes", "2") == expected
        code, output, errors = await run("top", broker.address, "--once", "--json", *limit)
        assert (code, errors) == (0, "")
        found = json.loads(output)
        assert [node["node"] for node in found["nodes"]] == [node_id]
        assert [(row["address"], row["problem"]) for row in found["brokers"]] == [(broker.address, "")]
        code, output, _ = await run("top", broker.address, *limit)  # no terminal: once
        assert code == 0
        assert node_id[:8] in output


async def test_without_a_broker_status_says_so_in_one_line() -> None:
    address = f"tcp://127.0.0.1:{free_port_block(4)}"
    expected = (1, f"not ready: broker {address}: Connection refused; 0 nodes ready, 1 required\n", "")
    assert await status_in_time(expected, address) == expected


class Terminal:
    """The command in a terminal of 80 columns; `text` collects what it writes."""

    def __init__(self, *arguments: str) -> None:
        self.text = ""
        self._end, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "zmqio", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=ROOT,
            env=process_environment() | {"TERM": "xterm"},
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self.text += os.read(self._end, 65_536).decode(errors="replace")
            except OSError:
                return

    def close(self) -> None:
        """End it, if it has not ended."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._end)


async def test_table_is_live_survives_a_broker_restart_and_ends_with_ctrl_c() -> None:
    async with cluster() as (broker, node_id):
        terminal = Terminal("top", broker.address, "--interval", "0.2")
        try:
            await wait_until(lambda: node_id[:8] in terminal.text, "the node")
            broker.kill()
            await wait_until(lambda: "Connection refused" in terminal.text, "the loss")
            await broker.restart_async()
            seen = len(terminal.text)
            await wait_until(lambda: "connected" in terminal.text[seen:], "the new broker")
            assert "Traceback" not in terminal.text
            terminal.process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(terminal.process.wait, LIMIT_S) == 0
        finally:
            terminal.close()
