"""A real broker process for tests: started on free ports, ready when its control endpoint answers."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgpack
import zmq

from tests.support.forked import Process, start
from tests.support.keys import KeyFolder
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S
from zmqio.zeromq.curve import LoadedCurve
from zmqio.zeromq.socket_options import set_connect_options

__all__ = ["BrokerProcess", "ask_control"]

_REPOSITORY = Path(__file__).parents[2]
_ASK_AGAIN_S = 0.1
_LOOK_AGAIN_S = 0.01


def ask_control(
    address: str, request: dict[str, Any], timeout_s: float = LIMIT_S, keys: LoadedCurve | None = None
) -> dict[str, Any] | None:
    """Ask a broker's control endpoint; None when no answer came within `timeout_s`."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as asker:
        set_connect_options(asker, address, keys)
        asker.connect(address)
        asker.send(msgpack.packb(request))
        if not asker.poll(timeout_s * 1000):
            return None
        answer: dict[str, Any] = msgpack.unpackb(asker.recv_multipart()[-1])
        return answer


class BrokerProcess:
    """`python -m zmqio_broker` as a child, for `with` and `async with`; stopped (then killed) at the end.

    Args:
        *args: further options, for example "--max-message-bytes", "1000".
        address: base address; None for four free tcp ports on loopback.
        before: words in front of its command, for example `ip netns exec NAME`.
        keys: the keys that it requires.

    Attributes:
        address: base address; stays the same over restarts.
        lines: the output of all runs; standard output and error together.
        hello: the response of its control endpoint to `hello` after the start.
    """

    def __init__(
        self,
        *args: str,
        address: str | None = None,
        before: Sequence[str] = (),
        keys: KeyFolder | None = None,
    ) -> None:
        self.address = address or f"tcp://127.0.0.1:{free_port_block(4)}"
        self.lines: list[str] = []
        self.hello: dict[str, Any] = {}
        self._args = [*args, *(keys.broker_args if keys else [])]
        self._keys = keys.node.load(1)[0] if keys else None
        self._before = list(before)
        self._process: Process | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def returncode(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._running().poll()

    @property
    def epoch(self) -> bytes:
        return bytes.fromhex(self.hello["epoch"])

    def endpoint(self, role: str) -> str:
        """The address of one endpoint (control, publish, subscribe, ingest), from the response to `hello`."""
        if "paths" in self.hello:
            return f"ipc://{self.hello['paths'][role]}"
        return f"{self.address.rpartition(':')[0]}:{self.hello['ports'][role]}"

    def start(self) -> None:
        """Start it and wait for its hello."""
        assert self._process is None, "it runs already"
        command = [*self._before, sys.executable, "-m", "zmqio_broker", "--bind", self.address, *self._args]
        environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY / "broker"), "PYTHONUNBUFFERED": "1"}
        self._process = start(command, env=environment, stdout=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        try:
            self._wait_for_hello()
        except BaseException:
            self.kill()
            raise

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Ask it to stop and return its exit code; kill it if it does not stop within `LIMIT_S`."""
        process = self._running()
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LIMIT_S)
        return self.kill()

    def kill(self) -> int:
        """End it at once, as a crash would; its exit code."""
        process = self._running()
        process.kill()
        code = process.wait()
        if self._reader:
            self._reader.join()
        if process.stdout:
            process.stdout.close()
        self._process = None
        return code

    def send_signal(self, number: int) -> None:
        self._running().send_signal(number)

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections and does nothing."""
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it (if it runs) and start it on the same address."""
        if self._process is not None:
            self.kill()
        self.start()

    async def restart_async(self) -> None:
        """`restart` without blocking the event loop."""
        await asyncio.to_thread(self.restart)

    def statistics(self) -> dict[str, Any]:
        """The response of its control endpoint to `statistics`."""
        answer = ask_control(self.address, {"op": "statistics"}, keys=self._keys)
        assert answer is not None, f"no statistics from {self.address}"
        return answer

    def wait_for_line(self, part: str) -> str:
        """Wait for a line with `part` in it and return the first one."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if part in line:
                    return line
            time.sleep(_LOOK_AGAIN_S)
        raise AssertionError(f"no line with {part!r} of the broker within {LIMIT_S:g} s: {self.lines}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, trace)

    def _running(self) -> Process:
        assert self._process is not None, "the broker process was not started, or has been stopped"
        return self._process

    def _wait_for_hello(self) -> None:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline and self.returncode is None:
            answer = ask_control(self.address, {"op": "hello", "version": 1}, _ASK_AGAIN_S, self._keys)
            # Another process may still hold the address for a moment: only the answer of this one counts.
            if answer is not None and answer.get("pid") == self.pid:
                self.hello = answer
                return
        raise AssertionError(f"the broker on {self.address} did not get ready:\n" + "\n".join(self.lines))

    def _read(self, process: Process) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))
