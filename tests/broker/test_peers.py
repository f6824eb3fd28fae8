import errno
from collections.abc import Iterator
from contextlib import suppress
from socket import create_connection

import pytest
import zmq
from zmqio_broker import accept_pause
from zmqio_broker.peers import PeerCounts, PeerMonitor
from zmqio_broker.threads import SocketThread

from tests.support.timing import LIMIT_S, wait_until

ACCEPTED, SUCCEEDED, DISCONNECTED = zmq.EVENT_ACCEPTED, zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_DISCONNECTED


def counts_after(*events: tuple[int, int]) -> PeerCounts:
    counts = PeerCounts()
    for event, value in events:
        counts.feed(event, value)
    return counts


def test_completed_handshake_is_a_connect() -> None:
    counts = counts_after((ACCEPTED, 9), (SUCCEEDED, 0))
    assert (counts.connects, counts.connected, counts.rejections) == (1, 1, 0)


def test_end_after_the_handshake_is_a_disconnect() -> None:
    counts = counts_after((ACCEPTED, 9), (SUCCEEDED, 0), (DISCONNECTED, 9))
    assert (counts.connects, counts.disconnects, counts.connected, counts.rejections) == (1, 1, 0, 0)


def test_end_before_the_handshake_is_a_rejection() -> None:
    counts = counts_after((ACCEPTED, 9), (DISCONNECTED, 9))
    assert (counts.connects, counts.disconnects, counts.rejections) == (0, 0, 1)


def test_descriptors_are_those_of_open_connections() -> None:
    counts = counts_after((ACCEPTED, 9), (SUCCEEDED, 0), (ACCEPTED, 10), (ACCEPTED, 11), (DISCONNECTED, 10))
    assert counts.descriptors() == {9, 11}


def test_reused_descriptor_is_a_new_connection() -> None:
    counts = counts_after((ACCEPTED, 9), (DISCONNECTED, 9), (ACCEPTED, 9), (SUCCEEDED, 0), (DISCONNECTED, 9))
    assert (counts.rejections, counts.connects, counts.disconnects) == (1, 1, 1)


def test_rejection_during_another_handshake_is_counted_after_both_end() -> None:
    counts = counts_after((ACCEPTED, 8), (ACCEPTED, 9), (SUCCEEDED, 0), (DISCONNECTED, 8), (DISCONNECTED, 9))
    assert (counts.connects, counts.disconnects, counts.rejections) == (1, 1, 1)


def test_failed_accept_is_counted() -> None:
    assert counts_after((zmq.EVENT_ACCEPT_FAILED, 24)).accept_failures == 1


def test_refused_connection_is_a_failed_accept_and_no_rejection() -> None:
    counts = counts_after((ACCEPTED, 9))
    counts.refuse(9)
    counts.feed(DISCONNECTED, 9)
    assert (counts.accept_failures, counts.rejections, counts.connected) == (1, 0, 0)
    counts.feed(ACCEPTED, 9)
    counts.feed(DISCONNECTED, 9)
    assert (counts.accept_failures, counts.rejections) == (1, 1)


def test_refused_connection_that_completed_its_handshake_leaves_no_trace_in_the_number_of_peers() -> None:
    counts = counts_after((ACCEPTED, 9))
    counts.refuse(9)
    counts.feed(SUCCEEDED, 0)
    counts.feed(DISCONNECTED, 9)
    assert counts.connected == 0


async def test_connection_with_a_descriptor_over_the_limit_is_closed() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    monitor = PeerMonitor(context, 0)
    with context.socket(zmq.PULL) as socket:
        monitor.add("ingest", socket)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        SocketThread("peers", monitor.run, monitor.sockets).start()
        with create_connection(("127.0.0.1", port), timeout=LIMIT_S) as peer, suppress(ConnectionResetError):
            while peer.recv(100):  # the greeting, then the end
                pass
        counts = monitor.counts["ingest"]
        await wait_until(lambda: counts.accept_failures == 1, "the refusal is counted")
        assert counts.rejections == 0
    context.term()


@pytest.mark.parametrize("lacks_reserve", [False, True])
def test_connection_accepted_before_a_pause_is_kept_unless_it_has_the_reserved_descriptor(
    lacks_reserve: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    with zmq.Context() as context:
        monitor = PeerMonitor(context, 1 << 20, closed.append)
        monitor.counts["publish"] = PeerCounts()
        if lacks_reserve:
            monkeypatch.setattr(accept_pause, "_open_reserve", lambda: None)
        monitor._handle("publish", zmq.EVENT_ACCEPT_FAILED, errno.EMFILE)
        monitor._handle("publish", ACCEPTED, 9)
        monitor._pause.close()
    assert closed == ([9] if lacks_reserve else [])


async def test_listening_and_accepted_sockets_are_reported() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    reported: list[str] = []
    monitor = PeerMonitor(
        context,
        1 << 20,
        accepted=lambda role, descriptor: reported.append(f"{role} accepted"),
        listening=lambda role, descriptor: reported.append(f"{role} listening"),
    )
    with context.socket(zmq.PULL) as socket:
        monitor.add("ingest", socket)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        SocketThread("peers", monitor.run, monitor.sockets).start()
        with create_connection(("127.0.0.1", port), timeout=LIMIT_S):
            await wait_until(lambda: "ingest accepted" in reported, "the connection")
    context.term()
    assert reported[0] == "ingest listening"


@pytest.fixture
def monitored() -> Iterator[tuple[PeerMonitor, zmq.Context[zmq.Socket[bytes]], str]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    monitor = PeerMonitor(context, 1 << 20)
    with context.socket(zmq.PULL) as socket:
        monitor.add("ingest", socket)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        SocketThread("peers", monitor.run, monitor.sockets).start()
        yield monitor, context, f"tcp://127.0.0.1:{port}"
    # Not `with`: the thread closes its sockets itself when the context is terminated.
    context.term()


async def test_real_peer_is_counted_as_connect_and_disconnect(
    monitored: tuple[PeerMonitor, zmq.Context[zmq.Socket[bytes]], str],
) -> None:
    monitor, context, address = monitored
    counts = monitor.counts["ingest"]
    with context.socket(zmq.PUSH) as peer:
        peer.connect(address)
        await wait_until(lambda: counts.connected == 1, "the peer is counted")
    await wait_until(lambda: counts.disconnects == 1, "the disconnect is counted")
    assert counts.rejections == 0
