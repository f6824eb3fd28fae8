"""The latency through the hub alone, without Socket.IO: bare ZMTP through the broker, and bare Redis.

    python -m tests.bench.cluster_peers.wire

One process publishes the time, one receives it, at the pace of the latency scenario; nothing is encoded. It is the
lower bound of that scenario's latencies, which no node can improve. The variants with libzmq show the cost of its
sockets for a node, compared with ZMTP on the event loop.
"""

import argparse
import math
import multiprocessing
import os
import platform
import select
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import TypeAlias

import zmq

from tests.bench.cluster_peers.processes import redis_server
from tests.bench.engine.report import describe_machine
from tests.support.broker import BrokerProcess
from zmqio.protocol.zmtp import Conversation, SocketType, frame, subscription
from zmqio.zeromq.endpoints import endpoints_of

INTERVAL_NS = 2_000_000
SETTLE_S = 0.5
SILENCE_S = 10.0
READ_BYTES = 65_536
STAMP = b"t%019d"
FILL = b"x" * 64

Receive: TypeAlias = "Callable[[str, int, Connection], None]"
Publish: TypeAlias = "Callable[[], None]"


def receive_zmtp(address: str, count: int, answers: Connection) -> None:
    """Receive as a node does: ZMTP on its own socket."""
    connection, conversation = shake_hands(address, SocketType.SUB)
    with connection:
        connection.sendall(frame(subscription(b"t")))
        time.sleep(SETTLE_S)
        answers.send("ready")
        latencies: list[int] = []
        while len(latencies) < count and (data := connection.recv(READ_BYTES)):
            latencies += [_age_ns(message) for message in conversation.feed(data) if isinstance(message, bytes)]
            connection.sendall(conversation.take_answers())
        answers.send(latencies)


def receive_zmq(address: str, count: int, answers: Connection) -> None:
    """Receive by a SUB socket, woken by its descriptor as an event loop is."""
    subscriber = zmq.Context().socket(zmq.SUB)
    subscriber.subscribe(b"t")
    subscriber.connect(address)
    time.sleep(SETTLE_S)
    answers.send("ready")
    poll = select.epoll()
    poll.register(int(subscriber.getsockopt(zmq.FD)), select.EPOLLIN)
    latencies: list[int] = []
    while len(latencies) < count:
        try:
            latencies.append(_age_ns(subscriber.recv(zmq.NOBLOCK)))
        except zmq.Again:
            if not poll.poll(SILENCE_S):
                break
    answers.send(latencies)


def receive_redis(address: str, count: int, answers: Connection) -> None:
    """Receive the messages of a Redis channel."""
    connection = socket.create_connection(("127.0.0.1", int(address)), timeout=SILENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nt\r\n")
    connection.recv(4096)
    answers.send("ready")
    latencies: list[int] = []
    rest = b""
    while len(latencies) < count:
        *lines, rest = (rest + connection.recv(4096)).split(b"\r\n")
        latencies += [_age_ns(line) for line in lines if line.endswith(FILL)]
    answers.send(latencies)


def shake_hands(address: str, socket_type: SocketType) -> tuple[socket.socket, Conversation]:
    """Return a connection that is ready for messages."""
    conversation = Conversation(socket_type)
    if address.startswith("ipc://"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address.removeprefix("ipc://"))
    else:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        connection = socket.create_connection((host, int(port)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(SILENCE_S)
    connection.sendall(conversation.greeting)
    while not conversation.is_ready:
        conversation.feed(connection.recv(READ_BYTES))
        connection.sendall(conversation.take_answers())
    return connection, conversation


@contextmanager
def zmtp_way(address: str = "") -> Iterator[tuple[str, Publish]]:
    """The broker, and a publisher like that of a node."""
    with BrokerProcess(address=address or None) as broker:
        endpoints = endpoints_of(broker.address)
        connection, _ = shake_hands(endpoints.publish, SocketType.PUB)
        with connection:
            yield endpoints.subscribe, lambda: connection.sendall(frame(STAMP % time.monotonic_ns() + FILL))


@contextmanager
def zmq_way(address: str = "") -> Iterator[tuple[str, Publish]]:
    """The broker and a publisher of libzmq."""
    with BrokerProcess(address=address or None) as broker:
        endpoints = endpoints_of(broker.address)
        context = zmq.Context()
        publisher = context.socket(zmq.PUB)
        publisher.connect(endpoints.publish)
        try:
            yield endpoints.subscribe, lambda: publisher.send(STAMP % time.monotonic_ns() + FILL)
        finally:
            context.destroy(linger=0)


@contextmanager
def by_ipc(make: Callable[[str], AbstractContextManager[tuple[str, Publish]]]) -> Iterator[tuple[str, Publish]]:
    """The same over unix sockets, as in `zmqio serve`."""
    with tempfile.TemporaryDirectory() as folder, make(f"ipc://{folder}/broker") as way:
        yield way


@contextmanager
def redis_way() -> Iterator[tuple[str, Publish]]:
    """Redis and a connection that publishes."""
    with redis_server() as redis:
        redis.wait_until_it_listens()
        with socket.create_connection(("127.0.0.1", redis.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def publish() -> None:
                message = STAMP % time.monotonic_ns() + FILL
                connection.sendall(b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nt\r\n$%d\r\n%s\r\n" % (len(message), message))
                connection.recv(100)

            yield str(redis.port), publish


WAYS: dict[str, tuple[Callable[[], AbstractContextManager[tuple[str, Publish]]], Receive]] = {
    "broker, tcp": (zmtp_way, receive_zmtp),
    "broker, ipc": (partial(by_ipc, zmtp_way), receive_zmtp),
    "libzmq, tcp": (zmq_way, receive_zmq),
    "libzmq, ipc": (partial(by_ipc, zmq_way), receive_zmq),
    "Redis, tcp": (redis_way, receive_redis),
}


def measure(name: str, count: int) -> list[int]:
    """Latencies of one run, in nanoseconds, ascending."""
    open_way, receive = WAYS[name]
    ours, theirs = multiprocessing.Pipe()
    with open_way() as (address, publish):
        receiver = multiprocessing.get_context("spawn").Process(target=receive, args=(address, count, theirs))
        receiver.start()
        try:
            _answer(ours)
            time.sleep(SETTLE_S)
            due_ns = time.monotonic_ns()
            for _ in range(count):
                due_ns += INTERVAL_NS
                time.sleep(max(due_ns - time.monotonic_ns(), 0) / 1e9)
                publish()
            return sorted(_answer(ours))
        finally:
            receiver.kill()
            receiver.join()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=500)
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for _ in range(options.rounds):
        for name, runs in found.items():
            latencies = measure(name, options.count)
            runs.append((_quantile(latencies, 0.5), _quantile(latencies, 0.99)))
    print(f"machine:  {describe_machine()}")
    print(f"versions: Python {platform.python_version()}, pyzmq {zmq.__version__}, libzmq {zmq.zmq_version()}")
    print(f"command:  python -m tests.bench.cluster_peers.wire --rounds {options.rounds} --count {options.count}")
    print(f"load:     {os.getloadavg()[0]:.1f}\n\nus, medians of the runs [lowest - highest]")
    for name, runs in found.items():
        print(
            f"{name:<14}"
            + "".join(_cell(*column) for column in zip(("p50", "p99"), zip(*runs, strict=True), strict=True))
        )


def _cell(name: str, values: tuple[float, ...]) -> str:
    return f"  {name} {statistics.median(values):6.1f} [{min(values):.1f} - {max(values):.1f}]"


def _answer(answers: Connection) -> list[int]:
    if not answers.poll(3 * SILENCE_S):
        raise RuntimeError("the receiver says nothing")
    answer: list[int] = answers.recv()
    return answer


def _age_ns(message: bytes) -> int:
    return time.monotonic_ns() - int(message[1:20])


def _quantile(values: list[int], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)] / 1e3 if values else math.nan


if __name__ == "__main__":
    main()
