"""examples/nginx: one script starts a broker, three nodes and nginx, and stops them all."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import ClientMaker
from tests.support.cluster import process_environment
from tests.support.example_server import is_ready
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S, wait_until
from tests.support.tools import require

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPT = Path(__file__).parents[2] / "examples" / "nginx" / "run.sh"
PORTS = 8
"""Four ports of the broker, three of the nodes, one of nginx."""


def start(mode: str, first_port: int) -> "subprocess.Popen[bytes]":
    require("nginx")
    environment = process_environment() | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "BROKER_PORT": str(first_port),
        "NODE_PORT": str(first_port + 4),
        "PORT": str(first_port + 7),
    }
    return subprocess.Popen([str(SCRIPT), mode], env=environment, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("mode", ["address", "tag", "round-robin"])
async def test_example_serves_polling_and_upgrading_clients(make_client: ClientMaker, mode: str) -> None:
    first_port = free_port_block(PORTS)
    url = f"http://127.0.0.1:{first_port + 7}"
    process = await asyncio.to_thread(start, mode, first_port)
    try:
        await wait_for_ports(range(first_port + 4, first_port + PORTS - 1), process, is_ready)
        await wait_for_ports(range(first_port + PORTS - 1, first_port + PORTS), process, answers)
        clients = [make_client("js", url, way) for way in ("polling", "upgrade")]
        for client in clients:
            await client.connect()
        for client in clients:
            assert await client.call("chat message", "hello") == "delivered"
        for client in clients:
            await client.wait_for("chat message", 2)
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, LIMIT_S) == 0


async def wait_for_ports(ports: range, process: "subprocess.Popen[bytes]", serves: Callable[[int], bool]) -> None:
    for port in ports:
        await wait_until(lambda port=port: process.poll() is not None or serves(port), f"port {port}")
    assert process.poll() is None, f"the example has ended with {process.returncode}"


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), LIMIT_S).close()
    except OSError:
        return False
    return True
