"""`open_direct_fd`: the promises of uvloop's transports on which direct writes rely, and where it is not used."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs

from zmqio.engine.direct_write import NO_FD
from zmqio.hosting import direct_fd
from zmqio.hosting.direct_fd import is_supported_uvloop, open_direct_fd

MOST_WRITES = 1000


class Watched(asyncio.Protocol):
    """Counts pauses, and records whether the descriptor is still open in `connection_lost`."""

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
def test_transport_pauses_as_soon_as_its_buffer_holds_a_byte_and_resumes_when_it_is_empty(pair: str) -> None:
    async def work(ours: socket.socket, theirs: socket.socket) -> None:
        protocol = await _connected(ours)
        fd = open_direct_fd(protocol.transport)
        assert fd >= 0
        written = 0
        while not protocol.paused and written < MOST_WRITES:
            assert protocol.transport.get_write_buffer_size() == 0  # written at once and completely
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
def test_descriptor_stays_open_until_connection_lost(pair: str, ends: str) -> None:
    async def work(ours: socket.socket, theirs: socket.socket) -> None:
        protocol = await _connected(ours)
        protocol.fd = open_direct_fd(protocol.transport)
        if ends == "peer":
            theirs.close()
        else:
            getattr(protocol.transport, ends)()
            os.fstat(protocol.fd)
        await protocol.lost.wait()
        assert protocol.open_when_lost

    _run(work, pair, uvloop.new_event_loop)


def test_failed_write_does_not_close_the_descriptor_before_connection_lost() -> None:
    async def work(ours: socket.socket, theirs: socket.socket) -> None:
        protocol = await _connected(ours)
        protocol.fd = open_direct_fd(protocol.transport)
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
    ("release", "supported"),
    [
        *((release, True) for release in ("0.17.0", "0.21.0", "0.23.1")),
        *((release, False) for release in ("0.16.0", "0.24.0", "0.24.0rc1", "1.0", "nonsense", "")),
    ],
)
def test_only_checked_versions_of_uvloop_are_supported(release: str, supported: bool) -> None:
    assert is_supported_uvloop(release) is supported


def test_installed_uvloop_is_supported() -> None:
    assert is_supported_uvloop(uvloop.__version__)  # if not: read its source, then raise the limit


def test_transports_of_other_event_loops_are_unchanged() -> None:
    async def work(ours: socket.socket, theirs: socket.socket) -> None:
        protocol = await _connected(ours)
        before = protocol.transport.get_write_buffer_limits()
        assert open_direct_fd(protocol.transport) == NO_FD
        assert protocol.transport.get_write_buffer_limits() == before
        protocol.transport.abort()
        await protocol.lost.wait()

    _run(work, "tcp", asyncio.SelectorEventLoop)


def test_connections_of_an_unsupported_uvloop_are_written_through_their_transports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work(ours: socket.socket, theirs: socket.socket) -> None:
        protocol = await _connected(ours)
        before = protocol.transport.get_write_buffer_limits()
        for _ in range(2):
            assert open_direct_fd(protocol.transport) == NO_FD
        assert protocol.transport.get_write_buffer_limits() == before
        protocol.transport.abort()
        await protocol.lost.wait()

    monkeypatch.setattr(uvloop, "__version__", "0.24.0")
    direct_fd.direct_transports.cache_clear()
    try:
        with capture_logs() as logs:
            _run(work, "tcp", uvloop.new_event_loop)
    finally:
        direct_fd.direct_transports.cache_clear()
    assert [(line["event"], line["version"]) for line in logs] == [("uvloop_unsupported", "0.24.0")]
