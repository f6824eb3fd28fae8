"""The base of both links, with a plain peer: each line and socket is received, queued, or left to the caller."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.testing import capture_logs

from tests.support.timing import wait_until
from zmqio.launcher.ipc.fd_passing import FdPassingLink

MAX_PENDING = 10


class Received:
    """The messages and ends that a link has reported."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.ends = 0

    def end(self) -> None:
        self.ends += 1


def decode(data: bytes) -> list[str]:
    if b"?" in data:
        raise ValueError("unexpected")
    return data.decode().split()


@contextmanager
def link() -> Iterator[tuple[FdPassingLink[str], socket.socket, Received]]:
    ours, theirs = socket.socketpair()
    received = Received()
    made = FdPassingLink(
        ours,
        max_pending=MAX_PENDING,
        decode=decode,
        on_message=received.messages.append,
        on_end=received.end,
        malformed_event="malformed",
    )
    with theirs:
        yield made, theirs, received
    made.close()


def fill(made: FdPassingLink[str]) -> list[socket.socket]:
    """Send sockets until no more are queued; return their other ends."""
    others = []
    while True:
        attached, other = socket.socketpair()
        others.append(other)
        if not made.send(b"x" * 1000, attached):
            assert attached.fileno() >= 0  # stays with the caller
            attached.close()
            return others


async def test_line_is_sent_with_or_without_a_socket() -> None:
    with link() as (made, theirs, _):
        attached, other = socket.socketpair()
        assert made.send(b"alone")
        assert theirs.recv(100) == b"alone"
        assert made.send(b"together", attached)
        data, fds, _, _ = socket.recv_fds(theirs, 100, 1)
        assert (data, len(fds), attached.fileno()) == (b"together", 1, -1)
        socket.close(fds[0])
        other.close()


async def test_queued_sockets_are_closed_when_the_peer_is_gone() -> None:
    with link() as (made, theirs, received):
        others = fill(made)
        assert len(others) > MAX_PENDING
        theirs.close()
        await wait_until(lambda: received.ends == 1, "the end of the link")
        assert made.broken
        assert made.is_closed
        for other in others:
            assert other.recv(1) == b""
            other.close()
        assert not made.send(b"more")
        assert received.ends == 1


async def test_nothing_is_accepted_after_finish() -> None:
    with link() as (made, theirs, _):
        assert made.send(b"last")
        made.finish()
        assert made.is_closed
        assert not made.send(b"too late")
        assert theirs.recv(100) == b"last"
        assert theirs.recv(100) == b""


async def test_messages_are_received_before_the_end() -> None:
    with link() as (made, theirs, received):
        theirs.sendall(b"a b")
        theirs.close()
        made.read_remaining()
        assert (received.messages, received.ends, made.broken) == (["a", "b"], 1, True)


async def test_malformed_message_ends_the_link_and_is_logged() -> None:
    with capture_logs() as logs, link() as (made, theirs, received):
        theirs.sendall(b"what?")
        await wait_until(lambda: received.ends == 1, "the end of the link")
        assert made.broken
    assert [(line["event"], line["error"]) for line in logs] == [("malformed", "unexpected")]
