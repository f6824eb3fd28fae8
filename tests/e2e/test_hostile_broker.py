"""Peers that make a broker's memory grow: they are disconnected, and other nodes do not notice."""

import struct
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
import zmq

from tests.support.broker import BrokerProcess
from tests.support.broker_peers import barrier, connected, raw_peer
from tests.support.timing import LIMIT_S, wait_until

MB = 1_000_000


@pytest.fixture(scope="module")
def process() -> Iterator[BrokerProcess]:
    with BrokerProcess("--node-queue-bytes", "8000000") as started:
        yield started


def growth(process: BrokerProcess, before: int) -> int:
    return int(psutil.Process(process.pid).memory_info().rss) - before


@pytest.mark.parametrize(("role", "limit"), [("publish", 67 * MB), ("subscribe", 34 * MB), ("ingest", 67 * MB)])
async def test_message_of_frames_without_an_end_is_cut_off(process: BrokerProcess, role: str, limit: int) -> None:
    frame = b"\x03" + struct.pack(">Q", 4_000) + bytes(4_000)  # 3: more frames follow, and the length has 8 bytes
    before = psutil.Process(process.pid).memory_info().rss
    closed = process.statistics()["connections_closed"]
    peak = sent = 0
    with raw_peer(process, role) as peer, suppress(OSError):
        peer.settimeout(LIMIT_S / 10)  # the end of a connection that the broker no longer reads may go unnoticed
        while sent < 10 * limit:
            peer.sendall(frame * 250)
            sent += 250 * len(frame)
            peak = max(peak, growth(process, before))
    assert sent < 10 * limit
    assert peak < 3 * limit
    await wait_until(lambda: process.statistics()["connections_closed"] == closed + 1, "its count")


async def test_node_that_does_not_read_is_disconnected_and_another_receives_everything(
    process: BrokerProcess,
) -> None:
    before = psutil.Process(process.pid).memory_info().rss
    closed = process.statistics()["connections_closed"]
    with (
        zmq.Context() as context,
        connected(context, zmq.SUB, process.endpoint("subscribe")) as reading,
        connected(context, zmq.XPUB, process.endpoint("publish")) as publisher,
        raw_peer(process, "subscribe") as unread,
    ):
        unread.sendall(b"\x00\x01\x01")
        reading.subscribe(b"topic/")
        barrier(reading)
        assert publisher.recv() == b"\x01"
        for number in range(20_000):
            publisher.send(b"topic/%d/" % number + bytes(64_000))
            assert reading.recv().startswith(b"topic/%d/" % number)
            if number % 100 == 0 and process.statistics()["connections_closed"] > closed:
                break
        else:
            raise AssertionError("it was not disconnected")
        assert growth(process, before) < 60 * MB
    assert "connection_closed" in process.wait_for_line("--node-queue-bytes")
