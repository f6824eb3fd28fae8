"""`HostSignals`: the host's handlers run as before, or when the server has closed. In the test's own process."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.timing import wait_until
from zmqio.server import host_signals
from zmqio.server.host_signals import HostSignals
from zmqio.stop_requests import REPEAT_AFTER_S


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """A host that has a handler for SIGTERM."""
    calls: list[str] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: calls.append("host"))
    yield calls
    signal.signal(signal.SIGTERM, previous)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> "Clock":
    """Stands in for the module's clock."""
    clock = Clock()
    monkeypatch.setattr(host_signals, "monotonic", clock)
    return clock


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def server(heard: list[str], name: str = "server", *, holds: bool = False) -> HostSignals:
    """A server that writes down what it is told; one that `holds` lets go when somebody insists."""

    def told(again: bool) -> bool:
        heard.append(f"{name} again" if again else name)
        return holds and not again

    return HostSignals(told)


def stop_me() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_server_hears_of_it_and_the_hosts_handler_still_runs(heard: list[str]) -> None:
    signals = server(heard)
    signals.wrap()
    signals.wrap()
    stop_me()
    assert heard == ["server", "host"]
    signals.unwrap()
    stop_me()
    assert heard == ["server", "host", "host"]


def test_host_hears_of_a_held_signal_when_the_server_unwraps_and_only_once(heard: list[str]) -> None:
    signals = server(heard, holds=True)
    signals.wrap()
    stop_me()
    stop_me()  # its echo
    assert heard == ["server", "server"]
    signals.unwrap()
    assert heard == ["server", "server", "host"]
    signals.unwrap()
    stop_me()
    assert heard[3:] == ["host"]


def test_host_hears_at_once_when_somebody_insists(heard: list[str], clock: Clock) -> None:
    signals = server(heard, holds=True)
    signals.wrap()
    stop_me()
    clock.now += REPEAT_AFTER_S
    stop_me()
    assert heard == ["server", "server again", "host"]
    signals.unwrap()
    assert heard == ["server", "server again", "host"]


def test_next_server_of_a_process_is_not_insisted_on(heard: list[str], clock: Clock) -> None:
    for _ in range(2):
        signals = server(heard)
        signals.wrap()
        stop_me()
        signals.unwrap()
        clock.now += 10 * REPEAT_AFTER_S
    assert heard == ["server", "host"] * 2


def test_host_waits_for_the_last_of_several_servers(heard: list[str]) -> None:
    first, second = server(heard, "first", holds=True), server(heard, "second", holds=True)
    quick = server(heard, "quick")
    for signals in (first, second, quick):
        signals.wrap()
    stop_me()
    assert heard == ["first", "second", "quick"]
    quick.unwrap()
    first.unwrap()
    assert "host" not in heard
    second.unwrap()
    assert heard[-1] == "host"


def test_server_that_never_unwraps_keeps_no_signal_from_the_host(heard: list[str]) -> None:
    forgotten, closing = server(heard, "forgotten"), server(heard, "closing", holds=True)
    forgotten.wrap()
    closing.wrap()
    stop_me()
    closing.unwrap()
    assert heard == ["forgotten", "closing", "host"]
    forgotten.unwrap()


@pytest.mark.parametrize("nobodys", [signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler])
def test_what_no_host_has_installed_stays_as_it_is(nobodys: Any) -> None:
    before = signal.signal(signal.SIGINT, nobodys)
    signals = HostSignals(lambda again: False)
    try:
        signals.wrap()
        assert signal.getsignal(signal.SIGINT) == nobodys
    finally:
        signals.unwrap()
        signal.signal(signal.SIGINT, before)


def test_handler_that_was_replaced_meanwhile_is_not_put_back(heard: list[str]) -> None:
    signals = server(heard)
    signals.wrap()
    ours: Callable[..., Any] = signal.getsignal(signal.SIGTERM)  # type: ignore[assignment]
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append("newer"))
    signals.unwrap()
    stop_me()
    assert heard == ["newer"]
    signal.signal(signal.SIGTERM, ours)  # who replaced it puts it back, as uvicorn does: it hands signals through
    stop_me()
    assert heard == ["newer", "host"]
    server(heard).unwrap()  # and can be put back now, so that no test after this one meets it
    assert signal.getsignal(signal.SIGTERM) != ours


def test_outside_the_main_thread_nothing_is_touched(heard: list[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=HostSignals(lambda again: False).wrap)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before


def test_two_servers_that_close_in_the_order_they_started_leave_the_host_its_handler(heard: list[str]) -> None:
    first, second = server(heard, "first"), server(heard, "second")
    before = signal.getsignal(signal.SIGTERM)
    first.wrap()
    second.wrap()
    first.unwrap()
    stop_me()
    assert heard == ["second", "host"]
    second.unwrap()
    assert signal.getsignal(signal.SIGTERM) is before


def test_handler_that_the_host_gave_to_the_event_loop_is_held_back_and_put_back(heard: list[str]) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, heard.append, "loop's host")
        signals = server(heard, holds=True)
        signals.wrap()
        stop_me()
        await wait_until(lambda: heard, "the server to hear")
        await asyncio.sleep(0)
        assert heard == ["server"]
        signals.unwrap()
        await wait_until(lambda: len(heard) == 2, "the host to hear")
        stop_me()
        await wait_until(lambda: len(heard) == 3, "the host to hear again")
        loop.remove_signal_handler(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    asyncio.run(run())
    signal.signal(signal.SIGTERM, before)
    assert heard == ["server", "loop's host", "loop's host"]


def test_handler_that_the_host_gave_to_the_event_loop_hears_at_once_of_what_is_not_held(heard: list[str]) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, heard.append, "loop's host")
        signals = server(heard)
        signals.wrap()
        stop_me()
        await wait_until(lambda: len(heard) == 2, "both to hear")
        signals.unwrap()
        loop.remove_signal_handler(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    asyncio.run(run())
    signal.signal(signal.SIGTERM, before)
    assert heard == ["server", "loop's host"]
