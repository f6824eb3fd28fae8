"""Malformed data on the four ports of the broker is counted, logged at a bounded rate, and never fatal."""

import json
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgpack
import psutil
import pytest
import zmq

from tests.support.broker import BrokerProcess, ask_control
from tests.support.broker_peers import barrier, connected, raw_peer
from tests.support.timing import LIMIT_S, wait_until

ROLES = ("control", "publish", "subscribe", "ingest")
# A fixed seed, so that a failure is repeatable.
NOISE = random.Random(20_260_101)
ZMTP_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16) + b"\x00" + bytes(31)
STRANGERS = {
    "http": b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n" * 4,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + NOISE.randbytes(508),
    "zmtp-1": b"\x01\x00" + b"\x05\x00\x01all" * 20,
    "zmtp-2": b"\xff" + bytes(8) + b"\x7f\x01\x02" + b"\x00\x00" * 40,
    "noise": NOISE.randbytes(4_096),
    "noise-after-greeting": ZMTP_GREETING + NOISE.randbytes(1_024),
    "half-a-greeting": ZMTP_GREETING[:20],
}
MOST_LINES_A_KIND = 4


@pytest.fixture(scope="module")
def process() -> Iterator[BrokerProcess]:
    with BrokerProcess("--max-message-bytes", "100000") as started:
        yield started


def say(process: BrokerProcess, role: str, what: bytes) -> None:
    """Connect without ZeroMQ, send the bytes and wait until the broker has closed the connection."""
    address = ("127.0.0.1", process.hello["ports"][role])
    with socket.create_connection(address, timeout=LIMIT_S) as stranger, suppress(OSError):
        stranger.sendall(what)
        stranger.shutdown(socket.SHUT_WR)
        while stranger.recv(65_536):
            pass


def rejected(process: BrokerProcess, role: str) -> int:
    return int(process.statistics()["peers"][role]["rejections"])


async def quiet(process: BrokerProcess) -> dict[str, Any]:
    """The statistics once all peers have disconnected and been counted."""
    looks: list[dict[str, Any]] = []

    def is_quiet() -> bool:
        looks.append(process.statistics())
        last = looks[-3:]
        counts = [
            (look["subscription_changes"], [peer["rejections"] for peer in look["peers"].values()])
            for look in last
        ]
        connected_peers = sum(peer["connected"] for role, peer in last[-1]["peers"].items() if role != "control")
        return len(last) == 3 and not connected_peers and counts == [counts[0]] * 3

    await wait_until(is_quiet, "every earlier peer is gone")
    return looks[-1]


def still_serves(process: BrokerProcess) -> None:
    with (
        zmq.Context() as context,
        connected(context, zmq.SUB, process.endpoint("subscribe")) as subscriber,
        connected(context, zmq.XPUB, process.endpoint("publish")) as publisher,
        connected(context, zmq.PUSH, process.endpoint("ingest")) as sender,
    ):
        subscriber.subscribe(b"topic/n/")
        assert barrier(subscriber) == process.epoch
        assert publisher.recv() == b"\x01"
        for socket, frame in ((publisher, b"topic/n//\0by publish"), (sender, b"topic/n//\0{}")):
            socket.send(frame)
            assert subscriber.recv() == frame


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("stranger", STRANGERS)
async def test_foreign_peer_is_counted_and_its_data_never_become_messages(
    process: BrokerProcess, stranger: str, role: str
) -> None:
    before = await quiet(process)
    say(process, role, STRANGERS[stranger])
    await wait_until(lambda: rejected(process, role) == before["peers"][role]["rejections"] + 1, "it is counted")
    after = process.statistics()
    for count in ("frames_in", "ingest_frames", "subscription_changes", "control_rejections"):
        assert after[count] == before[count], count
    still_serves(process)


def test_many_foreign_peers_cause_few_log_lines() -> None:
    with BrokerProcess() as process:
        for role in ROLES:
            for _ in range(50):
                say(process, role, STRANGERS["http"])
        process.wait_for_line("peers_rejected")
        still_serves(process)
        process.stop()
    lines = [line for line in map(json.loads, process.lines) if line["event"] == "peers_rejected"]
    assert 0 < len(lines) <= MOST_LINES_A_KIND * len(ROLES)


@pytest.mark.parametrize(("kind", "role"), [(zmq.PUSH, "ingest"), (zmq.PUB, "publish")])
def test_message_over_the_limit_is_logged_and_its_sender_disconnected(kind: int, role: str) -> None:
    with BrokerProcess("--max-message-bytes", "1000") as process:
        with zmq.Context() as context, context.socket(kind) as sender:
            sender.setsockopt(zmq.LINGER, 0)
            monitor = sender.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
            sender.connect(process.endpoint(role))
            assert monitor.poll(LIMIT_S * 1000), "did not connect"
            monitor.recv_multipart()
            # More than once: a PUB sends nothing until the subscription to everything has come.
            for _ in range(int(LIMIT_S * 100)):
                sender.send(bytes(1_001), zmq.NOBLOCK)
                if monitor.poll(10):
                    break
            else:
                raise AssertionError("the sender was not cut off")
            sender.disable_monitor()
            monitor.close()
        line = json.loads(process.wait_for_line("peers_disconnected"))
        assert line["endpoint"] == role
        assert "--max-message-bytes" in line["hint"]
        still_serves(process)


def test_malformed_requests_are_answered_counted_and_logged(process: BrokerProcess) -> None:
    before = process.statistics()["control_rejections"]
    with zmq.Context() as context, connected(context, zmq.DEALER, process.endpoint("control")) as asker:
        for body in (b"", b"\xc1", NOISE.randbytes(500), msgpack.packb({"op": "stop"}), b"\x91" * 5_000):
            asker.send(body)
            assert "error" in msgpack.unpackb(asker.recv())
        asker.send_multipart([b"a"] * 5)
        assert "frame" in msgpack.unpackb(asker.recv_multipart()[-1])["error"]
    assert process.statistics()["control_rejections"] == before + 6
    line = json.loads(process.wait_for_line("control_requests_rejected"))
    assert line["reason"]
    assert ask_control(process.address, {"op": "hello", "version": 1}) == process.hello


@pytest.mark.parametrize(("kind", "role"), [(zmq.DEALER, "ingest"), (zmq.PUSH, "publish"), (zmq.REQ, "subscribe")])
async def test_socket_of_the_wrong_type_is_rejected(process: BrokerProcess, kind: int, role: str) -> None:
    before = rejected(process, role)
    with zmq.Context() as context, context.socket(kind) as wrong:
        wrong.setsockopt(zmq.LINGER, 0)
        monitor = wrong.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        wrong.connect(process.endpoint(role))
        assert monitor.poll(LIMIT_S * 1000), "was not rejected"
        wrong.disable_monitor()
        monitor.close()
    await wait_until(lambda: rejected(process, role) > before, "it is counted")
    still_serves(process)


def test_malformed_data_of_zeromq_peers_does_not_stop_forwarding(process: BrokerProcess) -> None:
    kinds = {"publish": zmq.PUB, "ingest": zmq.PUSH, "subscribe": zmq.XSUB, "control": zmq.DEALER}
    with zmq.Context() as context:
        for role, kind in kinds.items():
            with connected(context, kind, process.endpoint(role)) as peer:
                if kind == zmq.XSUB:
                    peer.send(b"\x01" + NOISE.randbytes(5))
                for _ in range(500):
                    frames = [NOISE.randbytes(NOISE.randrange(60)) for _ in range(NOISE.randrange(1, 4))]
                    peer.send_multipart(frames)
    still_serves(process)


@pytest.mark.parametrize("size", [5_000, 7_000_000])
async def test_subscription_to_a_long_topic_disconnects_its_sender_and_takes_no_memory(size: int) -> None:
    """A topic of 7 MB took 0.9 GB, and ended the broker with a stack overflow when its subscriber went."""
    with BrokerProcess() as process:
        memory = psutil.Process(process.pid)
        before = memory.memory_info().rss
        with raw_peer(process, "subscribe") as peer, suppress(OSError):
            peer.sendall(b"\x02" + (size + 1).to_bytes(8, "big") + b"\x01" + bytes(size))
            while peer.recv(65_536):
                pass
        await wait_until(lambda: process.statistics()["peers"]["subscribe"]["disconnects"] == 1, "its end")
        assert process.statistics()["subscription_changes"] == 0
        still_serves(process)
        assert memory.memory_info().rss - before < 30_000_000
