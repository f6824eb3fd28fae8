"""Tests of `zmqio.zeromq.final_flush`; how a connection hands one out is in test_zmq_connection."""

import socket
import threading
import time

from tests.support.timing import LIMIT_S
from zmqio.zeromq.final_flush import FinalFlush


def pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(LIMIT_S)
    return ours, theirs


def everything(end: socket.socket) -> bytes:
    """What comes until the other end is closed."""
    received = bytearray()
    while data := end.recv(1 << 20):
        received += data
    return bytes(received)


def test_what_the_kernel_takes_is_sent_at_once() -> None:
    ours, theirs = pair()
    with theirs:
        leftover = FinalFlush(ours, [b"one", memoryview(b"two")])
        leftover.send_now()
        assert theirs.recv(100) == b"onetwo"
        theirs.shutdown(socket.SHUT_WR)
        leftover.send_rest(time.monotonic() + LIMIT_S)
        assert theirs.recv(1) == b""


def test_the_rest_is_sent_and_the_peers_end_awaited() -> None:
    ours, theirs = pair()
    with theirs:
        leftover = FinalFlush(ours, [bytes(5_000_000), b"last"])
        leftover.send_now()
        sending = threading.Thread(target=leftover.send_rest, args=(time.monotonic() + LIMIT_S,))
        sending.start()
        received = everything(theirs)
        assert (len(received), received[-4:]) == (5_000_004, b"last")
        assert sending.is_alive()
    sending.join(LIMIT_S)
    assert not sending.is_alive()


def test_peer_that_takes_nothing_costs_no_more_than_the_limit() -> None:
    ours, theirs = pair()
    with theirs:
        leftover = FinalFlush(ours, [bytes(50_000_000)])
        leftover.send_now()
        leftover.send_rest(time.monotonic() + 0.05)
        assert len(everything(theirs)) < 50_000_000


def test_peer_that_is_gone_is_no_error() -> None:
    ours, theirs = pair()
    theirs.close()
    leftover = FinalFlush(ours, [b"x"])
    leftover.send_now()
    leftover.send_rest(time.monotonic() + LIMIT_S)
