"""`HostSignals`: the host's handlers run as before. In the test's own process, with handlers put back."""

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from zmqio.server.host_signals import HostSignals


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """A host that has a handler for SIGTERM."""
    calls: list[str] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: calls.append("host"))
    yield calls
    signal.signal(signal.SIGTERM, previous)


def test_server_hears_of_it_and_the_hosts_handler_still_runs(heard: list[str]) -> None:
    signals = HostSignals(lambda: heard.append("server"))
    signals.wrap()
    signals.wrap()
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard == ["server", "host"]
    signals.unwrap()
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard == ["server", "host", "host"]


@pytest.mark.parametrize("nobodys", [signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler])
def test_what_no_host_has_installed_stays_as_it_is(nobodys: Any) -> None:
    before = signal.signal(signal.SIGINT, nobodys)
    signals = HostSignals(lambda: None)
    try:
        signals.wrap()
        assert signal.getsignal(signal.SIGINT) == nobodys
    finally:
        signals.unwrap()
        signal.signal(signal.SIGINT, before)


def test_handler_that_was_replaced_meanwhile_is_not_put_back(heard: list[str]) -> None:
    signals = HostSignals(lambda: heard.append("server"))
    signals.wrap()
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append("newer"))
    signals.unwrap()
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard == ["newer"]


def test_outside_the_main_thread_nothing_is_touched(heard: list[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=HostSignals(lambda: None).wrap)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before


def test_two_servers_that_close_in_the_order_they_started_leave_the_host_its_handler(heard: list[str]) -> None:
    first, second = HostSignals(lambda: heard.append("first")), HostSignals(lambda: heard.append("second"))
    first.wrap()
    second.wrap()
    first.unwrap()
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard[-1] == "host"
