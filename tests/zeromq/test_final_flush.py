"""Tests of `zmqio.zeromq.final_flush`; `test_connection` tests how a connection creates one."""

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


def receive_all(end: socket.socket) -> bytes:
    """Receive until the other end is closed."""
    received = bytearray()
    while data := end.recv(1 << 20):
        received += data
    return bytes(received)


def test_send_now_sends_what_the_kernel_accepts() -> None:
    ours, theirs = pair()
    with theirs:
        flush = FinalFlush(ours, [b"one", memoryview(b"two")])
        flush.send_now()
        assert theirs.recv(100) == b"onetwo"
        theirs.shutdown(socket.SHUT_WR)
        flush.send_rest(time.monotonic() + LIMIT_S)
        assert theirs.recv(1) == b""


def test_send_rest_sends_the_rest_and_waits_until_the_peer_closes() -> None:
    ours, theirs = pair()
    with theirs:
        flush = FinalFlush(ours, [bytes(5_000_000), b"last"])
        flush.send_now()
        sending = threading.Thread(target=flush.send_rest, args=(time.monotonic() + LIMIT_S,))
        sending.start()
        received = receive_all(theirs)
        assert (len(received), received[-4:]) == (5_000_004, b"last")
        assert sending.is_alive()
    sending.join(LIMIT_S)
    assert not sending.is_alive()


def test_peer_that_reads_nothing_is_given_up_at_the_limit() -> None:
    ours, theirs = pair()
    with theirs:
        flush = FinalFlush(ours, [bytes(50_000_000)])
        flush.send_now()
        flush.send_rest(time.monotonic() + 0.05)
        assert len(receive_all(theirs)) < 50_000_000


def test_closed_peer_is_not_an_error() -> None:
    ours, theirs = pair()
    theirs.close()
    flush = FinalFlush(ours, [b"x"])
    flush.send_now()
    flush.send_rest(time.monotonic() + LIMIT_S)
