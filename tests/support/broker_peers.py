"""Plain ZeroMQ peers of a broker for tests, with the socket options and the protocol of a node."""

import secrets
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import zmq

from tests.support.broker import BrokerProcess
from tests.support.timing import LIMIT_S, wait_until

__all__ = ["Load", "barrier", "connected", "counted", "new_sync_topic", "raw_peer"]

Context = zmq.Context[zmq.Socket[bytes]]

_ASK_AGAIN_S = 1.0
_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
_KINDS = {"publish": b"PUB", "subscribe": b"SUB", "ingest": b"PUSH", "control": b"DEALER"}


@contextmanager
def connected(context: Context, kind: int, address: str) -> Iterator[zmq.Socket[bytes]]:
    """A socket with a node's options, connected; a read that takes longer than `LIMIT_S` fails the test."""
    with context.socket(kind) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 10)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 100)
        socket.setsockopt(zmq.RCVTIMEO, int(LIMIT_S * 1000))
        socket.setsockopt(zmq.HEARTBEAT_IVL, 1_000)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 12_000)  # less than a pause of `test_broker`
        socket.connect(address)
        yield socket


@contextmanager
def raw_peer(process: BrokerProcess, role: str, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A TCP connection that has completed ZeroMQ's handshake, and on which the test then sends what it likes.

    Args:
        process: the broker.
        role: the endpoint.
        source: address of this end: the broker blocks the address of a peer that subscribes too much.
    """
    kind = _KINDS[role]
    body = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    address = ("127.0.0.1", process.hello["ports"][role])
    with socket.create_connection(address, LIMIT_S, (source, 0)) as peer:
        peer.sendall(_GREETING + bytes((4, len(body))) + body)
        received = b""
        while b"READY" not in received:  # libzmq refuses frames before it has sent this
            data = peer.recv(1_024)
            if not data:
                raise ConnectionError("the broker closed the connection during the handshake")
            received += data
        yield peer


def new_sync_topic() -> bytes:
    return b"\xffsync-" + secrets.token_bytes(16)


def barrier(subscriber: zmq.Socket[bytes]) -> bytes:
    """Wait until all subscriptions so far are applied; returns the epoch. Messages received before it are dropped.

    Asked again with another topic every second: while the connection is being renewed, the broker may see a topic
    on the new one before it has given up the old one, and then it is no news.
    """
    ends_at = time.monotonic() + LIMIT_S
    while time.monotonic() < ends_at:
        topic = new_sync_topic()
        subscriber.subscribe(topic)
        epoch = _acknowledgement(subscriber, topic)
        subscriber.unsubscribe(topic)
        if epoch is not None:
            return epoch
    raise AssertionError(f"no acknowledgement within {LIMIT_S:g} s")


def _acknowledgement(subscriber: zmq.Socket[bytes], topic: bytes) -> bytes | None:
    ask_again_at = time.monotonic() + _ASK_AGAIN_S
    while (left_s := ask_again_at - time.monotonic()) > 0:
        if subscriber.poll(left_s * 1000):
            frame = subscriber.recv()
            if frame.startswith(topic):
                return frame[len(topic) :]
    return None


async def counted(process: BrokerProcess, role: str) -> None:
    """Wait until the broker counts one connection of an endpoint.

    Another thread counts connections, later than they can be used. While the broker has no descriptors, it may
    close those that it has not counted.
    """
    await wait_until(lambda: process.statistics()["peers"][role]["connected"] == 1, f"one {role} connection")


class Load:
    """Publishers and outside senders that send 200-byte messages, about 20,000 a second each, until closed.

    It ends by itself after `LIMIT_S` seconds.
    """

    def __init__(self, broker: BrokerProcess, *, publishers: int = 2, senders: int = 1) -> None:
        self._stop = threading.Event()
        kinds = [(zmq.PUB, "publish")] * publishers + [(zmq.PUSH, "ingest")] * senders
        targets = [(kind, broker.endpoint(role)) for kind, role in kinds]
        self._threads = [threading.Thread(target=self._send, args=target, daemon=True) for target in targets]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, kind: int, address: str) -> None:
        ticks: Iterable[int] = range(int(LIMIT_S * 200))
        with zmq.Context() as context, connected(context, kind, address) as socket:
            for _ in ticks:
                if self._stop.wait(0.005):
                    return
                for _ in range(100):
                    socket.send(b"load/n//\0{" + bytes(189), zmq.NOBLOCK)
