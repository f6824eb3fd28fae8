"""The harness's handle of the relay process."""

import asyncio
import subprocess
import sys
from types import TracebackType

from tests.support.cluster import ROOT, process_environment
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S

__all__ = ["RelayProcess"]

LOOPBACK = "127.0.0.1"


class RelayProcess:
    """A relay to one broker during the `async with` block; for the commands see `Relay`.

    Args:
        broker_address: `tcp://host:port`.

    Attributes:
        address: address for nodes, in place of the broker's.
    """

    def __init__(self, broker_address: str) -> None:
        port = free_port_block(4)
        self.address = f"tcp://{LOOPBACK}:{port}"
        ports = (broker_address.rpartition(":")[2], str(port))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.soak.relay", *ports],
            cwd=ROOT,
            env=process_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    async def __aenter__(self) -> "RelayProcess":
        await self._answer("ready")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    async def do(self, command: str) -> None:
        """`cut`, `stall`, `delay SECONDS` or `go`; returns when it is in effect."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        await self._answer("ok")

    async def _answer(self, expected: str) -> None:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(self._process.stdout.readline), LIMIT_S)
        assert line.strip() == expected, f"the relay answered {line!r}"
