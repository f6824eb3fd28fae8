"""What both links share, against a plain socket: what is offered arrives, waits, or is still the caller's."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.testing import capture_logs

from tests.support.timing import wait_until
from zmqio.launcher.ipc.fd_passing import FdPassingLink

MOST = 10


class Heard:
    """What a link has told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.ends = 0

    def ended(self) -> None:
        self.ends += 1


def read(data: bytes) -> list[str]:
    if b"?" in data:
        raise ValueError("a question")
    return data.decode().split()


@contextmanager
def link() -> Iterator[tuple[FdPassingLink[str], socket.socket, Heard]]:
    ours, theirs = socket.socketpair()
    heard = Heard()
    made = FdPassingLink(
        ours, most_waiting=MOST, read=read, heard=heard.said.append, ended=heard.ended, malformed="rubbish"
    )
    with theirs:
        yield made, theirs, heard
    made.close()


def fill(made: FdPassingLink[str]) -> list[socket.socket]:
    """Offer sockets until no more wait; returns their other ends."""
    others = []
    while True:
        passed, other = socket.socketpair()
        others.append(other)
        if not made.offer(b"x" * 1000, passed):
            assert passed.fileno() >= 0  # still the caller's
            passed.close()
            return others


async def test_line_goes_alone_or_with_a_socket() -> None:
    with link() as (made, theirs, _):
        passed, other = socket.socketpair()
        assert made.offer(b"alone")
        assert theirs.recv(100) == b"alone"
        assert made.offer(b"together", passed)
        data, fds, _, _ = socket.recv_fds(theirs, 100, 1)
        assert (data, len(fds), passed.fileno()) == (b"together", 1, -1)
        socket.close(fds[0])
        other.close()


async def test_sockets_that_wait_are_closed_when_the_other_end_goes() -> None:
    with link() as (made, theirs, heard):
        others = fill(made)
        assert len(others) > MOST
        theirs.close()
        await wait_until(lambda: heard.ends == 1, "the end is told")
        assert made.broken
        assert made.is_over
        for other in others:
            assert other.recv(1) == b""
            other.close()
        assert not made.offer(b"more")
        assert heard.ends == 1


async def test_nothing_is_taken_behind_the_finish() -> None:
    with link() as (made, theirs, _):
        assert made.offer(b"last")
        made.finish()
        assert made.is_over
        assert not made.offer(b"too late")
        assert theirs.recv(100) == b"last"
        assert theirs.recv(100) == b""


async def test_what_is_said_is_heard_before_the_end() -> None:
    with link() as (made, theirs, heard):
        theirs.sendall(b"a b")
        theirs.close()
        made.read_rest()
        assert (heard.said, heard.ends, made.broken) == (["a", "b"], 1, True)


async def test_rubbish_ends_the_link_and_is_told_with_what_it_was() -> None:
    with capture_logs() as logs, link() as (made, theirs, heard):
        theirs.sendall(b"what?")
        await wait_until(lambda: heard.ends == 1, "the end")
        assert made.broken
    assert [(line["event"], line["error"]) for line in logs] == [("rubbish", "a question")]
