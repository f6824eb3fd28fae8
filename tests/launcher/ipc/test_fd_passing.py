"""What both links share, against a plain socket: what is offered arrives, waits, or is still the caller's."""

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
        raise ValueError("a question")
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
    """Offer sockets until no more wait; returns their other ends."""
    others = []
    while True:
        attached, other = socket.socketpair()
        others.append(other)
        if not made.send(b"x" * 1000, attached):
            assert attached.fileno() >= 0  # still the caller's
            attached.close()
            return others


async def test_line_goes_alone_or_with_a_socket() -> None:
    with link() as (made, theirs, _):
        attached, other = socket.socketpair()
        assert made.send(b"alone")
        assert theirs.recv(100) == b"alone"
        assert made.send(b"together", attached)
        data, fds, _, _ = socket.recv_fds(theirs, 100, 1)
        assert (data, len(fds), attached.fileno()) == (b"together", 1, -1)
        socket.close(fds[0])
        other.close()


async def test_sockets_that_wait_are_closed_when_the_other_end_goes() -> None:
    with link() as (made, theirs, received):
        others = fill(made)
        assert len(others) > MAX_PENDING
        theirs.close()
        await wait_until(lambda: received.ends == 1, "the end is told")
        assert made.broken
        assert made.is_closed
        for other in others:
            assert other.recv(1) == b""
            other.close()
        assert not made.send(b"more")
        assert received.ends == 1


async def test_nothing_is_taken_behind_the_finish() -> None:
    with link() as (made, theirs, _):
        assert made.send(b"last")
        made.finish()
        assert made.is_closed
        assert not made.send(b"too late")
        assert theirs.recv(100) == b"last"
        assert theirs.recv(100) == b""


async def test_what_is_said_is_heard_before_the_end() -> None:
    with link() as (made, theirs, received):
        theirs.sendall(b"a b")
        theirs.close()
        made.read_remaining()
        assert (received.messages, received.ends, made.broken) == (["a", "b"], 1, True)


async def test_rubbish_ends_the_link_and_is_told_with_what_it_was() -> None:
    with capture_logs() as logs, link() as (made, theirs, received):
        theirs.sendall(b"what?")
        await wait_until(lambda: received.ends == 1, "the end")
        assert made.broken
    assert [(line["event"], line["error"]) for line in logs] == [("malformed", "a question")]
