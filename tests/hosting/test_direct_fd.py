"""`take_bare_fd`: the promises of uvloop's transports that writing past them rests on, and who is left alone."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import pytest
import uvloop

from zmqio.engine.direct_write import NO_FD
from zmqio.hosting.direct_fd import is_known, take_bare_fd

MOST_WRITES = 1000


class Watched(asyncio.Protocol):
    """Counts pauses; its descriptor is still open when it hears of the end."""

    def __init__(self) -> None:
        self.paused = 0
        self.resumed = asyncio.Event()
        self.made = asyncio.Event()
        self.lost = asyncio.Event()
        self.open_when_lost = False
        self.fd = NO_FD

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.made.set()

    def pause_writing(self) -> None:
        self.paused += 1

    def resume_writing(self) -> None:
        self.resumed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        try:
            os.fstat(self.fd)
        except OSError:
            pass
        else:
            self.open_when_lost = True
        self.lost.set()


async def _connected(ours: socket.socket) -> Watched:
    _, protocol = await asyncio.get_running_loop().connect_accepted_socket(Watched, ours)
    await protocol.made.wait()
    return protocol


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    return ours, theirs


PAIRS = {"tcp": _tcp_pair, "unix": socket.socketpair}


def _run(work: Callable[[socket.socket, socket.socket], Awaitable[None]], pair: str, loop: Any) -> None:
    ours, theirs = PAIRS[pair]()
    ours.setblocking(False)
    theirs.setblocking(False)

    async def main() -> None:
        await asyncio.wait_for(work(ours, theirs), 60)

    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main())
    finally:
        theirs.close()


@pytest.mark.parametrize("pair", PAIRS)
def test_transport_pauses_as_soon_as_a_byte_waits_and_resumes_when_none_does(pair: str) -> None:
    async def work(ours: socket.socket, theirs: socket.socket) -> None:
        protocol = await _connected(ours)
        fd = take_bare_fd(protocol.transport)
        assert fd >= 0
        written = 0
        while not protocol.paused and written < MOST_WRITES:
            assert protocol.transport.get_write_buffer_size() == 0  # it has written at once, and all of it
            protocol.transport.write(b"x" * 65536)
            written += 1
        assert protocol.paused == 1
        expected, received = written * 65536, 0
        while received < expected:
            received += len(await asyncio.get_running_loop().sock_recv(theirs, 1 << 20))
        await protocol.resumed.wait()
        assert protocol.transport.get_write_buffer_size() == 0
        assert os.write(fd, b"direct") == 6
        assert await asyncio.get_running_loop().sock_recv(theirs, 100) == b"direct"
        protocol.transport.abort()
        await protocol.lost.wait()

    _run(work, pair, uvloop.new_event_loop)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("ends", ["abort", "close", "peer"])
def test_descriptor_is_the_connections_until_its_protocol_hears_of_the_end(pair: str, ends: str) -> None:
    async def work(ours: socket.socket, theirs: socket.socket) -> None:
        protocol = await _connected(ours)
        protocol.fd = take_bare_fd(protocol.transport)
        if ends == "peer":
            theirs.close()
        else:
            getattr(protocol.transport, ends)()
            os.fstat(protocol.fd)
        await protocol.lost.wait()
        assert protocol.open_when_lost

    _run(work, pair, uvloop.new_event_loop)


def test_failed_write_does_not_close_the_descriptor_before_the_protocol_hears_of_it() -> None:
    async def work(ours: socket.socket, theirs: socket.socket) -> None:
        protocol = await _connected(ours)
        protocol.fd = take_bare_fd(protocol.transport)
        protocol.transport.pause_reading()
        theirs.close()
        while not protocol.transport.is_closing():
            protocol.transport.write(b"x" * 65536)
            os.fstat(protocol.fd)
            await asyncio.sleep(0)
            if protocol.lost.is_set():
                break
        await protocol.lost.wait()
        assert protocol.open_when_lost

    _run(work, "tcp", uvloop.new_event_loop)


@pytest.mark.parametrize(
    ("release", "known"),
    [
        *((release, True) for release in ("0.17.0", "0.21.0", "0.23.1")),
        *((release, False) for release in ("0.16.0", "0.24.0", "0.24.0rc1", "1.0", "nonsense", "")),
    ],
)
def test_only_releases_of_uvloop_that_were_looked_at_are_passed_by(release: str, known: bool) -> None:
    assert is_known(release) is known


def test_installed_uvloop_is_known() -> None:
    assert is_known(version("uvloop"))  # else look at its sources, and at what the tests here say of it


def test_transports_of_other_loops_are_left_alone() -> None:
    async def work(ours: socket.socket, theirs: socket.socket) -> None:
        protocol = await _connected(ours)
        before = protocol.transport.get_write_buffer_limits()
        assert take_bare_fd(protocol.transport) == NO_FD
        assert protocol.transport.get_write_buffer_limits() == before
        protocol.transport.abort()
        await protocol.lost.wait()

    _run(work, "tcp", asyncio.SelectorEventLoop)
