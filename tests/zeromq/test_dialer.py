"""Tests of `zmqio.zeromq.dialer`."""

import asyncio
import contextlib
import errno
import socket

import pytest

from tests.support.ports import free_port
from tests.support.timing import LIMIT_S, wait_until
from tests.support.zmtp_connections import resolver_of
from zmqio.links.resolver import HostResolver
from zmqio.zeromq import dialer as dialer_module
from zmqio.zeromq.dialer import Dialer


@contextlib.contextmanager
def dialed(endpoint, resolver=None, **options):
    connected: list[socket.socket] = []
    dialer = Dialer(endpoint, resolver or resolver_of(endpoint), connected.append, **options)
    try:
        yield connected, dialer
    finally:
        dialer.close()
        for each in connected:
            each.close()


class FixedResolver(HostResolver):
    """Resolves any name to the given addresses, or fails."""

    def __init__(self, *results):
        super().__init__("bus.example")
        self.results = results
        self.calls = 0

    async def resolve(self, port):
        self.calls += 1
        if isinstance(self.results[0], Exception):
            raise self.results[0]
        return list(self.results)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_dialer_connects_and_reports_it_later(host):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), dialed(f"tcp://{host}:{port}") as (connected, _):
        assert connected == []
        await wait_until(lambda: connected, "connected")
        (connection,) = connected
        assert not connection.getblocking()
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_dialer_retries_until_somebody_listens_and_reports_each_failure():
    port, reasons = free_port(), []
    with dialed(f"tcp://127.0.0.1:{port}", failed=reasons.append) as (connected, _):
        await wait_until(lambda: len(reasons) >= 5, "five refusals")
        assert (connected, set(reasons)) == ([], {"Connection refused"})
        with socket.create_server(("127.0.0.1", port)):
            await wait_until(lambda: connected, "connected")


async def test_unix_socket_may_be_created_later(tmp_path):
    path, reasons = tmp_path / "bus", []
    with dialed(f"ipc://{path}", failed=reasons.append) as (connected, _):
        await wait_until(lambda: "No such file or directory" in reasons, "the reason")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            await wait_until(lambda: connected, "connected")


async def test_unix_socket_whose_listen_queue_is_full_is_retried(tmp_path):
    path = tmp_path / "bus"
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen(0)
        first = stack.enter_context(socket.socket(socket.AF_UNIX))
        first.connect(str(path))
        connected, _ = stack.enter_context(dialed(f"ipc://{path}"))
        await asyncio.sleep(0.05)
        assert connected == []
        stack.enter_context(listener.accept()[0])
        await wait_until(lambda: connected, "connected")


async def test_all_addresses_of_a_name_are_tried():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        resolver = FixedResolver(
            (socket.AF_INET, ("127.0.0.1", free_port())), (socket.AF_INET, ("127.0.0.1", port))
        )
        with dialed(f"tcp://bus.example:{port}", resolver) as (connected, _):
            await wait_until(lambda: connected, "connected")
            assert connected[0].getpeername() == ("127.0.0.1", port)


@pytest.mark.parametrize("error", [OSError(None, "cannot resolve"), UnicodeError("cannot resolve")])
async def test_failed_resolution_is_reported_and_retried(error):
    resolver, reasons = FixedResolver(error), []
    with dialed("tcp://nowhere.example:1", resolver, failed=reasons.append) as (connected, _):
        await wait_until(lambda: resolver.calls >= 3, "three attempts")
        assert (connected, set(reasons)) == ([], {"cannot resolve"})


async def test_unanswered_attempt_is_abandoned(monkeypatch):
    class HangingResolver(HostResolver):
        async def resolve(self, port):
            await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(dialer_module, "ATTEMPT_LIMIT_S", 0.01)
    reasons = []
    with dialed("tcp://bus.example:1", HangingResolver("bus.example"), failed=reasons.append):
        await wait_until(lambda: len(reasons) >= 2, "two attempts")
        assert set(reasons) == {"no answer in 0.01 s"}


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:{port}", "tcp://localhost:{port}"])
async def test_lack_of_file_descriptors_is_retried(endpoint, monkeypatch):
    """A server with many clients can be out of file descriptors just when its broker comes back."""
    port, refused = free_port(), []
    make = socket.socket

    class Scarce(make):
        def __init__(self, *args, **options):
            if len(refused) < 3:
                refused.append(1)
                raise OSError(errno.EMFILE, "Too many open files")
            super().__init__(*args, **options)

    with socket.create_server(("127.0.0.1", port)):
        monkeypatch.setattr(dialer_module.socket, "socket", Scarce)
        with dialed(endpoint.format(port=port)) as (connected, _):
            await wait_until(lambda: connected, "connected")
    assert len(refused) == 3


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_closed_dialer_calls_no_callback(host):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for wait_s in (0.0, 0.01):
            with dialed(f"tcp://{host}:{port}", wait_s=wait_s) as (connected, dialer):
                dialer.close()
                dialer.close()
                await asyncio.sleep(0.05)
                assert connected == []


async def test_connection_made_just_before_the_dialer_is_closed_is_closed_too():
    """The kernel may have connected while the task has not run yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        with dialed(f"tcp://127.0.0.1:{listener.getsockname()[1]}") as (connected, dialer):
            accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
            if not connected:
                dialer.close()
                await asyncio.sleep(0)
                accepted.settimeout(LIMIT_S)
                assert await asyncio.to_thread(accepted.recv, 1) == b""
            accepted.close()
