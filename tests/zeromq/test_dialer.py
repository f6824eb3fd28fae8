"""Tests of `zmqio.zeromq.dialer`."""

import asyncio
import contextlib
import errno
import socket

import pytest

from tests.support.ports import free_port
from tests.support.timing import wait_until
from zmqio.zeromq import dialer
from zmqio.zeromq.dialer import Dialer


@contextlib.contextmanager
def dialled(endpoint, **options):
    connected: list[socket.socket] = []
    dial = Dialer(asyncio.get_running_loop(), endpoint, connected.append, **options)
    try:
        yield connected, dial
    finally:
        dial.close()
        for each in connected:
            each.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_it_connects_when_somebody_listens_and_tells_it_later(host):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), dialled(f"tcp://{host}:{port}") as (connected, _):
        assert connected == []
        await wait_until(lambda: connected, "connected")
        (connection,) = connected
        assert not connection.getblocking()
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_it_tries_until_somebody_listens_and_tells_why_it_has_to():
    port, reasons = free_port(), []
    with dialled(f"tcp://127.0.0.1:{port}", failed=reasons.append) as (connected, _):
        await wait_until(lambda: len(reasons) >= 5, "refused five times")
        assert (connected, set(reasons)) == ([], {"Connection refused"})
        with socket.create_server(("127.0.0.1", port)):
            await wait_until(lambda: connected, "connected")


async def test_unix_socket_whose_path_comes_later(tmp_path):
    path, reasons = tmp_path / "bus", []
    with dialled(f"ipc://{path}", failed=reasons.append) as (connected, _):
        await wait_until(lambda: "No such file or directory" in reasons, "the reason")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            await wait_until(lambda: connected, "connected")


async def test_unix_socket_with_a_full_queue_is_tried_again(tmp_path):
    path = tmp_path / "bus"
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen(0)
        first = stack.enter_context(socket.socket(socket.AF_UNIX))
        first.connect(str(path))
        connected, _ = stack.enter_context(dialled(f"ipc://{path}"))
        await asyncio.sleep(0.05)
        assert connected == []
        stack.enter_context(listener.accept()[0])
        await wait_until(lambda: connected, "connected")


async def test_all_addresses_of_a_name_are_tried(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", free_port())),
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)),
        ]

        def look_up(host, _, **options):
            if options["flags"] & socket.AI_NUMERICHOST:
                raise socket.gaierror
            return found if host == "bus.example" else []

        monkeypatch.setattr(dialer.socket, "getaddrinfo", look_up)
        with dialled(f"tcp://bus.example:{port}") as (connected, _):
            await wait_until(lambda: connected, "connected")
            assert connected[0].getpeername() == ("127.0.0.1", port)


async def test_name_that_is_not_found_is_looked_up_again(monkeypatch):
    asked = []

    def look_up(host, *_, **__):
        asked.append(host)
        raise socket.gaierror

    monkeypatch.setattr(dialer.socket, "getaddrinfo", look_up)
    reasons = []
    with dialled("tcp://nowhere.example:1", failed=reasons.append) as (connected, _):
        await wait_until(lambda: len(asked) >= 6, "asked three times, as a number and as a name")
        assert connected == []
        assert reasons[0].startswith("the name 'nowhere.example' is not found")


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:{port}", "tcp://localhost:{port}"])
async def test_whatever_the_system_refuses_is_tried_again(endpoint, monkeypatch):
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
        monkeypatch.setattr(dialer.socket, "socket", Scarce)
        with dialled(endpoint.format(port=port)) as (connected, _):
            await wait_until(lambda: connected, "connected")
    assert len(refused) == 3


async def test_thread_that_the_system_does_not_give_is_asked_for_again(monkeypatch):
    port, refused = free_port(), []
    start = dialer.threading.Thread.start

    def start_at_last(thread):
        if len(refused) < 2:
            refused.append(1)
            raise RuntimeError("can't start new thread")
        start(thread)

    reasons = []
    with socket.create_server(("127.0.0.1", port)):
        monkeypatch.setattr(dialer.threading.Thread, "start", start_at_last)
        with dialled(f"tcp://localhost:{port}", failed=reasons.append) as (connected, _):
            await wait_until(lambda: connected, "connected")
    assert reasons == ["can't start new thread"] * 2


async def test_name_that_is_none_is_tried_again_and_breaks_nothing(monkeypatch):
    asked = []

    def look_up(host, *_, **__):
        asked.append(host)
        return "a..b".encode("idna")

    monkeypatch.setattr(dialer.socket, "getaddrinfo", look_up)
    with dialled("tcp://a..b:1") as (connected, _):
        await wait_until(lambda: len(asked) >= 6, "asked three times, as a number and as a name")
        assert connected == []


async def test_closed_one_never_calls(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        for _ in range(2):
            with dialled(f"tcp://127.0.0.1:{listener.getsockname()[1]}", wait_s=0.01) as (connected, dial):
                dial.close()
                dial.close()
                await asyncio.sleep(0.05)
                assert connected == []
            monkeypatch.setattr(dialer.socket, "AI_NUMERICHOST", -1)  # now it looks a name up
