"""The cost of topics at the broker: memory, joins of other nodes during a flood, and the CPU of the checks.

    python -m tests.bench.topics [--only memory,flood,checks] [--rounds 3] [--seconds 5]

`flood`: a peer subscribes to 500,000 random topics at once, without keys and with those of a node, while another
node joins one room after the other.
`checks`: rooms come and go on eight nodes, with a broker that checks its connections and with one that does not.
Bounded by its counts and times; uses loopback only. Needs Linux, and 2 GB of memory.
"""

import argparse
import itertools
import secrets
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import zmq

from tests.bench.broker_cpu.__main__ import cpu_ns
from tests.bench.engine.command import list_of
from tests.bench.engine.report import describe_machine
from tests.support.broker import BrokerProcess
from tests.support.broker_peers import barrier, raw_peer
from tests.support.keys import KeyFolder
from tests.support.timing import LIMIT_S
from zmqio.protocol.mechanism import NullMechanism, SocketType
from zmqio.protocol.zmtp import Conversation, subscription
from zmqio.zeromq.socket_options import set_connect_options

PREFIX = b"zmqio/r//\0"
NAMES: dict[str, Callable[[int], bytes]] = {
    "room-1, room-2, ...": lambda number: b"room-%d\0" % number,
    "15 random characters": lambda _: secrets.token_hex(8)[:15].encode() + b"\0",
    "UUID (36 characters)": lambda _: secrets.token_hex(18).encode() + b"\0",
    "30 random bytes": lambda _: secrets.token_bytes(30),
}
ROOMS, NODES = 100_000, 8
FLOOD_TOPICS, FLOOD_S = 500_000, 2.0
FLOOD_SIZES = (15, 30, 240)
LIMITS = (512 << 10, 1 << 20, 3 << 19, 3 << 20)
RATES = (1_000, 5_000, 10_000)
TICK_S = 0.005
WITHOUT_LIMIT = ("--subscription-bytes", str(1 << 30))
# A broker without checks. Its arguments begin with the words of the broker's own command, which it removes.
WITHOUT_CHECKS = """
import sys
from zmqio_broker import broker, subscription_guard
from zmqio_broker.__main__ import cli
del sys.argv[1:4]
subscription_guard.SubscriptionWatch.accepted = lambda *unused: None
broker.Broker.check_connections = lambda *unused: None
cli()
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = {"memory": print_memory, "flood": print_flood, "checks": print_checks}
    parser.add_argument("--only", type=list_of(list(parts)), default=list(parts), metavar="PARTS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    print(f"machine: {describe_machine()}\ncommand: python -m tests.bench.topics {' '.join(sys.argv[1:])}")
    for name in options.only:
        parts[name](options)


def command(action: int, topic: bytes) -> bytes:
    """Return the frame that subscribes to a topic (1), or cancels it (0)."""
    return bytes((0, 1 + len(topic), action)) + topic


def memory(process: BrokerProcess) -> int:
    return int(psutil.Process(process.pid).memory_info().rss)


def wait_for_topics(process: BrokerProcess, least: int) -> int:
    """Wait until so many topics are applied; return their size."""
    ends_at = time.monotonic() + LIMIT_S
    while time.monotonic() < ends_at:
        with suppress(AssertionError):  # it is too busy to answer
            counts = process.statistics()
            if counts["topics"] >= least:
                return int(counts["topic_bytes"])
        time.sleep(0.1)
    raise RuntimeError(f"the broker did not apply {least} topics within {LIMIT_S:g} s")


def print_memory(_: argparse.Namespace) -> None:
    print("\n| names of the rooms | nodes with 100,000 | size of the topics | memory | for each byte |")
    print("|---|---:|---:|---:|---:|")
    for name, make in NAMES.items():
        for nodes in (1, NODES) if name in list(NAMES)[:2] else (1,):
            size, grown = memory_of(make, nodes)
            print(
                f"| {name} | {nodes} | {size / (1 << 20):.1f} MiB | {grown / 1e6:.0f} MB | {grown / size:.0f} B |"
            )


def memory_of(make: Callable[[int], bytes], nodes: int) -> tuple[int, int]:
    """Return the size of the topics of all nodes, and how much larger the broker is with them."""
    with BrokerProcess(*WITHOUT_LIMIT) as process, ExitStack() as stack:
        before, size = memory(process), 0
        for node in range(nodes):
            peer = stack.enter_context(raw_peer(process, "subscribe"))
            rooms = range(node * ROOMS, (node + 1) * ROOMS)
            peer.sendall(b"".join(command(1, PREFIX + make(room)) for room in rooms))
            size = wait_for_topics(process, (node + 1) * ROOMS)
        return size, memory(process) - before


def print_flood(options: argparse.Namespace) -> None:
    print("\n| `--subscription-bytes` | keys | size of a name | longest join (median) | CPU | memory, at most |")
    print("|---:|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        made = KeyFolder(Path(folder))
        for keys, size, limit in itertools.product((None, made), FLOOD_SIZES, LIMITS):
            rounds = [flood(size, limit, keys) for _ in range(options.rounds)]
            longest, cpu, grown = zip(*rounds, strict=True)
            print(
                f"| {limit >> 10} KiB | {'yes' if keys else 'no'} | {size} bytes "
                f"| {statistics.median(longest):.2f} s | {statistics.median(cpu):.2f} s "
                f"| {max(grown) / 1e6:.0f} MB |"
            )


def flood(size: int, limit: int, keys: KeyFolder | None) -> tuple[float, float, int]:
    """Return the longest join of another node, the CPU of the broker (seconds), and its growth in bytes."""
    with ExitStack() as stack:
        process = stack.enter_context(BrokerProcess("--subscription-bytes", str(limit), keys=keys))
        peer, conversation = stack.enter_context(flooding_peer(process, keys))
        topics = (PREFIX + secrets.token_bytes(size) for _ in range(FLOOD_TOPICS))
        data = b"".join(conversation.encode(subscription(topic)) for topic in topics)
        with joining(process, keys) as joins:
            before, cpu_before = memory(process), cpu_ns(process.pid)
            ends_at, largest = time.monotonic() + FLOOD_S, 0
            with suppress(OSError):
                peer.sendall(data)
            while time.monotonic() < ends_at or process.statistics()["topics"] > len(joins) + 100:
                largest = max(largest, memory(process) - before)
                time.sleep(0.02)
        return max(joins), (cpu_ns(process.pid) - cpu_before) / 1e9, max(largest, memory(process) - before)


@contextmanager
def flooding_peer(process: BrokerProcess, keys: KeyFolder | None) -> Iterator[tuple[socket.socket, Conversation]]:
    """A connection to the subscribe endpoint after the handshake, from an address that the broker may block."""
    conversation = Conversation(SocketType.SUB, keys.node.load(1)[0].mechanism() if keys else NullMechanism)
    address = ("127.0.0.1", process.hello["ports"]["subscribe"])
    with socket.create_connection(address, FLOOD_S, ("127.0.0.2", 0)) as peer:
        peer.sendall(conversation.greeting)
        while not conversation.is_ready:
            conversation.feed(peer.recv(1_024))
            peer.sendall(conversation.take_answers())
        yield peer, conversation


@contextmanager
def joining(process: BrokerProcess, keys: KeyFolder | None) -> Iterator[list[float]]:
    """A node that joins one room after the other; the list has the seconds of each join."""
    joins: list[float] = []
    stopping = threading.Event()

    def join_rooms() -> None:
        with zmq.Context() as context, context.socket(zmq.SUB) as node:
            set_connect_options(node, process.endpoint("subscribe"), keys.node.load(1)[0] if keys else None)
            node.connect(process.endpoint("subscribe"))
            while not stopping.is_set():
                began_s = time.monotonic()
                node.subscribe(PREFIX + b"other-%d\0" % len(joins))
                barrier(node)
                joins.append(time.monotonic() - began_s)
                time.sleep(TICK_S)

    thread = threading.Thread(target=join_rooms)
    thread.start()
    try:
        while not joins and thread.is_alive():
            time.sleep(TICK_S)
        yield joins
    finally:
        stopping.set()
        thread.join()


def print_checks(options: argparse.Namespace) -> None:
    print(f"\n| joins and leaves of {NODES} nodes, each per second | with checks | without | the checks, each |")
    print("|---:|---:|---:|---:|")
    for rate in (0, *RATES):
        used: dict[bool, list[float]] = {True: [], False: []}
        for number in range(2 * options.rounds):
            checks = number % 4 in (0, 3)  # with, without, without, with: the load of other programs favours none
            used[checks].append(cpu_of_churn(rate, options.seconds, checks=checks))
        with_checks, without = statistics.median(used[True]), statistics.median(used[False])
        each = f"{(with_checks - without) / (2 * rate) * 1e6:.2f} us" if rate else "-"
        print(f"| {rate} | {with_checks * 1e3:.1f} ms/s | {without * 1e3:.1f} ms/s | {each} |")


def cpu_of_churn(rate: int, seconds: float, *, checks: bool) -> float:
    """Return the CPU seconds of the broker in one second while so many rooms are joined, and as many left."""
    before = () if checks else (sys.executable, "-c", WITHOUT_CHECKS)
    with BrokerProcess(before=before) as process, ExitStack() as stack:
        peers = [stack.enter_context(raw_peer(process, "subscribe")) for _ in range(NODES)]
        began, cpu_before, room = time.monotonic(), cpu_ns(process.pid), 0
        while (now := time.monotonic()) < began + seconds:
            for peer in peers:
                due = round((now - began) * rate / NODES) - room
                rooms = [PREFIX + b"%d-room-%d\0" % (peer.fileno(), room + number) for number in range(due)]
                peer.sendall(b"".join(command(1, name) for name in rooms))
                peer.sendall(b"".join(command(0, name) for name in rooms))
            room = max(room, round((now - began) * rate / NODES))
            time.sleep(TICK_S)
        return (cpu_ns(process.pid) - cpu_before) / 1e9 / (time.monotonic() - began)


if __name__ == "__main__":
    main()
