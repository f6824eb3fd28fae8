"""Tests of `zmqio.links.resolver`."""

import asyncio
import socket
import threading

import pytest

from tests.support.timing import LIMIT_S, wait_until
from zmqio.links import resolver as resolver_module
from zmqio.links.resolver import HostResolver

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]


class NameServer:
    """Plays `socket.getaddrinfo` for names; passes IP addresses to the real one."""

    def __init__(self, monkeypatch):
        self.lookups = []
        self.answer = FOUND
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._real = socket.getaddrinfo
        monkeypatch.setattr(resolver_module.socket, "getaddrinfo", self.getaddrinfo)

    def getaddrinfo(self, host, port, **options):
        if options["flags"] & socket.AI_NUMERICHOST:
            return self._real(host, port, **options)
        self.lookups.append(host)
        assert self.may_answer.wait(LIMIT_S)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def name_server(monkeypatch):
    return NameServer(monkeypatch)


async def test_ip_addresses_need_no_lookup(name_server):
    assert await HostResolver("127.0.0.1").resolve(5) == [(socket.AF_INET, ("127.0.0.1", 5))]
    assert await HostResolver("::1").resolve(5) == [(socket.AF_INET6, ("::1", 5, 0, 0))]
    assert name_server.lookups == []


async def test_one_lookup_serves_all_callers_until_its_result_expires(name_server):
    resolver = HostResolver("bus.example")
    name_server.may_answer.clear()
    waiting = [asyncio.create_task(resolver.resolve(port)) for port in (1, 2)]
    await wait_until(lambda: name_server.lookups, "the look-up")
    name_server.may_answer.set()
    assert await asyncio.gather(*waiting) == [
        [(socket.AF_INET, ("192.0.2.1", 1))],
        [(socket.AF_INET, ("192.0.2.1", 2))],
    ]
    await resolver.resolve(3)
    assert name_server.lookups == ["bus.example"]


async def test_result_expires(name_server, monkeypatch):
    monkeypatch.setattr(resolver_module, "KEEP_S", 0.0)
    resolver = HostResolver("bus.example")
    await resolver.resolve(1)
    name_server.answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.2", 0))]
    assert await resolver.resolve(1) == [(socket.AF_INET, ("192.0.2.2", 1))]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (UnicodeError("label empty or too long"), "label empty or too long"),
    ],
)
async def test_failure_names_the_host_and_is_not_repeated_at_once(name_server, monkeypatch, error, reason):
    monkeypatch.setattr(resolver_module, "KEEP_FAILURE_S", 1e6)
    monkeypatch.setattr(resolver_module, "KEEP_FAILURE_MOST_S", 1e6)
    name_server.answer = error
    resolver = HostResolver("nowhere.example")
    for _ in range(3):
        with pytest.raises(OSError) as caught:
            await resolver.resolve(1)
        assert caught.value.strerror == f"cannot resolve the host name 'nowhere.example': {reason}"
    assert len(name_server.lookups) == 1


async def test_failures_in_a_row_are_retried_ever_more_slowly_until_one_look_up_succeeds(name_server, monkeypatch):
    loop, now = asyncio.get_running_loop(), [0.0]
    monkeypatch.setattr(loop, "time", lambda: now[0])
    name_server.answer = socket.gaierror(-3, "Temporary failure in name resolution")
    resolver = HostResolver("bus.example")
    for keep_s in (0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0):
        lookups = len(name_server.lookups)
        for age_s in (0.0, 0.9 * keep_s):
            now[0] += age_s
            with pytest.raises(OSError):
                await resolver.resolve(1)
        assert len(name_server.lookups) == lookups + 1
        now[0] += 0.2 * keep_s
    name_server.answer = FOUND
    await resolver.resolve(1)
    now[0] += 2.0
    name_server.answer = socket.gaierror(-3, "Temporary failure in name resolution")
    for _ in range(2):
        with pytest.raises(OSError):
            await resolver.resolve(1)
        now[0] += 0.11
    assert len(name_server.lookups) == 10


async def test_cancelled_caller_does_not_cancel_the_others(name_server):
    resolver = HostResolver("bus.example")
    name_server.may_answer.clear()
    one, two = (asyncio.create_task(resolver.resolve(1)) for _ in range(2))
    await wait_until(lambda: name_server.lookups, "the look-up")
    one.cancel()
    name_server.may_answer.set()
    assert await two == [(socket.AF_INET, ("192.0.2.1", 1))]


async def test_lack_of_threads_is_a_failure_that_is_retried(name_server, monkeypatch):
    monkeypatch.setattr(resolver_module, "KEEP_FAILURE_S", 0.0)
    start = threading.Thread.start

    def cannot_start(thread):
        raise RuntimeError("can't start new thread")

    resolver = HostResolver("bus.example")
    monkeypatch.setattr(resolver_module.threading.Thread, "start", cannot_start)
    with pytest.raises(OSError, match="can't start new thread"):
        await resolver.resolve(1)
    monkeypatch.setattr(resolver_module.threading.Thread, "start", start)
    assert await resolver.resolve(1) == [(socket.AF_INET, ("192.0.2.1", 1))]


def test_hanging_lookup_does_not_delay_the_end_of_the_loop(name_server):
    name_server.may_answer.clear()

    async def ask():
        asking = asyncio.create_task(HostResolver("bus.example").resolve(1))
        await wait_until(lambda: name_server.lookups, "the look-up")
        assert not asking.done()

    try:
        asyncio.run(ask())  # cancels the task; would hang here if it waited for the look-up's thread
    finally:
        name_server.may_answer.set()
