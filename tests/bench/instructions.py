"""Count the instructions that a server process executes for one event, in user mode.

Run it with `python -m tests.bench.instructions`; it requires valgrind and takes about three minutes. One event at
a time passes real connections. Callgrind counts only between two moments, behind a warm-up, so the start does not
count. The counts of two runs differ by up to 5 %: ticks and heartbeats count. What the kernel does is not counted.

The ways:

- `connect`: a WebSocket client that connects and joins the namespace and a room.
- `event`: a WebSocket client's event, from its frame to the acknowledgement.
- `send`: the same, whose handler emits to a room that has its only member on another node.
- `receive`: that message on the other node, until it is written to the member.
- `idle`: one second of one of eight nodes without clients.
"""

import argparse
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.cluster_peers.processes import Child
from tests.bench.cluster_peers.ws_client import WsClient
from tests.support.broker import BrokerProcess
from tests.support.ports import free_port

WARM_UP = 300
START_LIMIT_S = 300.0
ROOM, SIZE, SILENCE_S = "room", 64, 60.0
IDLE_NODES, IDLE_S = 8, 10
ENGINE_APP, NODE_APP = "tests.bench.engine.app_zmqio", "tests.bench.cluster_peers.app_zmqio"
_TOTALS = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


class Counted:
    """Counts the instructions of one process; give `prefix` to the process as the beginning of its command."""

    def __init__(self, folder: Path) -> None:
        self._output = folder / "callgrind"
        tool = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--log-file=/dev/null")
        self.prefix = (*tool, f"--callgrind-out-file={self._output}")

    def count(self, pid: int, events: Callable[[int], None], count: int) -> float:
        """Return the instructions for each of `count` events."""
        _control("--instr=on", pid)
        events(count)
        _control("--instr=off", pid)
        _control("--dump", pid)
        texts = [path.read_text() for path in self._output.parent.glob("callgrind*")]
        return max(int(total) for text in texts for total in _TOTALS.findall(text)) / count


def _control(option: str, pid: int) -> None:
    subprocess.run(["callgrind_control", option, str(pid)], check=True, capture_output=True)


@contextmanager
def started(prefix: tuple[str, ...], *arguments: str) -> Iterator[Child]:
    """Run a module with a port of its own, until it listens."""
    port = free_port()
    module, *rest = arguments
    command = [*prefix, sys.executable, "-m", module, str(port), *rest]
    ends_at = time.monotonic() + START_LIMIT_S
    # No pings: the clients do not answer while others connect.
    environment = {"PYTHONHASHSEED": "0", "BENCH_PING_INTERVAL_S": "3600"}
    with Child(command, port, environment) as child:
        while True:
            try:
                child.wait_until_it_listens()
            except RuntimeError:
                if time.monotonic() > ends_at:
                    raise
            else:
                yield child
                return


def count_connect(counted: Counted, count: int) -> float:
    """One node, to which clients connect one after the other; they stay connected while it is counted."""
    with started(counted.prefix, ENGINE_APP, "fast") as node, ExitStack() as clients:

        def events(number: int) -> None:
            for _ in range(number):
                clients.enter_context(WsClient(node.port))

        events(WARM_UP)
        return counted.count(node.pid, events, count)


def count_event(counted: Counted, count: int) -> float:
    """One node, whose handler returns what it received."""
    with started(counted.prefix, ENGINE_APP, "fast") as node, WsClient(node.port) as client:

        def events(number: int) -> None:
            for _ in range(number):
                client.wait_answer(client.order("echo", "x" * 16))

        events(WARM_UP)
        return counted.count(node.pid, events, count)


def count_between_nodes(counted: Counted, count: int, *, sender: bool) -> float:
    """Two nodes; one of them is counted."""
    with ExitStack() as stack:
        broker = stack.enter_context(BrokerProcess())
        prefixes = (counted.prefix, ()) if sender else ((), counted.prefix)
        nodes = [stack.enter_context(started(prefix, NODE_APP, broker.address)) for prefix in prefixes]
        near, far = (stack.enter_context(WsClient(node.port)) for node in nodes)
        far.wait_answer(far.order("join", ROOM))
        time.sleep(2)  # until the nodes know each other

        def events(number: int) -> None:
            for _ in range(number):
                far.latencies_ns.clear()
                near.wait_answer(near.order("flood", ROOM, 1, SIZE, 0))
                far.wait_messages(1, SILENCE_S)

        events(WARM_UP)
        return counted.count(nodes[0 if sender else 1].pid, events, count)


def count_idle(counted: Counted, count: int) -> float:
    """One of several nodes without clients, in a second. It is counted for `IDLE_S`, whatever `count` is."""
    with ExitStack() as stack:
        broker = stack.enter_context(BrokerProcess())
        others = [()] * (IDLE_NODES - 1)
        nodes = [
            stack.enter_context(started(prefix, NODE_APP, broker.address)) for prefix in (counted.prefix, *others)
        ]
        time.sleep(IDLE_S)  # until the nodes know each other
        return counted.count(nodes[0].pid, time.sleep, IDLE_S)


WAYS: dict[str, Callable[[Counted, int], float]] = {
    "connect": count_connect,
    "event": count_event,
    "send": lambda counted, count: count_between_nodes(counted, count, sender=True),
    "receive": lambda counted, count: count_between_nodes(counted, count, sender=False),
    "idle": count_idle,
}


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(WAYS), help="ways, separated by commas")
    parser.add_argument("--count", type=int, default=500, help="events that are counted")
    options = parser.parse_args()
    print(f"versions: Python {platform.python_version()}")
    print(f"command:  python -m tests.bench.instructions --only {options.only} --count {options.count}\n")
    print(f"{'':<14}{'instructions':>14}")
    for way in options.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            print(f"{way:<14}{WAYS[way](Counted(Path(folder)), options.count):>14,.0f}", flush=True)


if __name__ == "__main__":
    main()
