from collections.abc import Iterator

import pytest
import zmq
from zmqio_broker.peers import PeerCounts, PeerWatch
from zmqio_broker.threads import SocketThread

from tests.support.timing import wait_until

ACCEPTED, SUCCEEDED, DISCONNECTED = zmq.EVENT_ACCEPTED, zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_DISCONNECTED


def counts_after(*events: tuple[int, int]) -> PeerCounts:
    counts = PeerCounts()
    for event, value in events:
        counts.feed(event, value)
    return counts


def test_peer_that_shakes_hands_has_joined() -> None:
    counts = counts_after((ACCEPTED, 9), (SUCCEEDED, 0))
    assert (counts.joined, counts.connected, counts.rejected) == (1, 1, 0)


def test_peer_that_goes_has_left() -> None:
    counts = counts_after((ACCEPTED, 9), (SUCCEEDED, 0), (DISCONNECTED, 9))
    assert (counts.joined, counts.left, counts.connected, counts.rejected) == (1, 1, 0, 0)


def test_connection_without_handshake_is_rejected() -> None:
    counts = counts_after((ACCEPTED, 9), (DISCONNECTED, 9))
    assert (counts.joined, counts.left, counts.rejected) == (0, 0, 1)


def test_reused_descriptor_is_a_new_connection() -> None:
    counts = counts_after((ACCEPTED, 9), (DISCONNECTED, 9), (ACCEPTED, 9), (SUCCEEDED, 0), (DISCONNECTED, 9))
    assert (counts.rejected, counts.joined, counts.left) == (1, 1, 1)


def test_stranger_beside_a_peer_is_counted_once_both_are_gone() -> None:
    counts = counts_after((ACCEPTED, 8), (ACCEPTED, 9), (SUCCEEDED, 0), (DISCONNECTED, 8), (DISCONNECTED, 9))
    assert (counts.joined, counts.left, counts.rejected) == (1, 1, 1)


def test_connection_that_could_not_be_accepted_is_counted() -> None:
    assert counts_after((zmq.EVENT_ACCEPT_FAILED, 24)).not_accepted == 1


@pytest.fixture
def watched() -> Iterator[tuple[PeerWatch, zmq.Context[zmq.Socket[bytes]], str]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    watch = PeerWatch(context)
    with context.socket(zmq.PULL) as socket:
        watch.add("ingest", socket)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        SocketThread("watch", watch.run, watch.sockets).start()
        yield watch, context, f"tcp://127.0.0.1:{port}"
    # Not `with`: the thread closes its sockets itself when it sees the end.
    context.term()


async def test_a_real_peer_is_seen_to_come_and_go(
    watched: tuple[PeerWatch, zmq.Context[zmq.Socket[bytes]], str],
) -> None:
    watch, context, address = watched
    counts = watch.counts["ingest"]
    with context.socket(zmq.PUSH) as peer:
        peer.connect(address)
        await wait_until(lambda: counts.connected == 1, "the peer is counted")
    await wait_until(lambda: counts.left == 1, "its end is counted")
    assert counts.rejected == 0
