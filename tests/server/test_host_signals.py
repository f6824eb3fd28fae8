"""`HostSignals`: the host's handlers run at once, or when the server has closed. In the test's own process."""

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
def calls() -> Iterator[list[str]]:
    """A host that has a handler for SIGTERM."""
    calls: list[str] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: calls.append("host"))
    yield calls
    signal.signal(signal.SIGTERM, previous)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> "Clock":
    """Replaces the module's clock."""
    clock = Clock()
    monkeypatch.setattr(host_signals, "monotonic", clock)
    return clock


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def server(calls: list[str], name: str = "server", *, defers: bool = False) -> HostSignals:
    """Make a server that records its signals; with `defers`, it defers all but repeated ones."""

    def on_stop_signal(repeated: bool) -> bool:
        calls.append(f"{name} repeated" if repeated else name)
        return defers and not repeated

    return HostSignals(on_stop_signal)


def stop_me() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_server_receives_the_signal_before_the_hosts_handler(calls: list[str]) -> None:
    signals = server(calls)
    signals.wrap()
    signals.wrap()
    stop_me()
    assert calls == ["server", "host"]
    signals.unwrap()
    stop_me()
    assert calls == ["server", "host", "host"]


def test_deferred_signal_reaches_the_host_once_when_the_server_unwraps(calls: list[str]) -> None:
    signals = server(calls, defers=True)
    signals.wrap()
    stop_me()
    stop_me()  # a duplicate of the first
    assert calls == ["server", "server"]
    signals.unwrap()
    assert calls == ["server", "server", "host"]
    signals.unwrap()
    stop_me()
    assert calls[3:] == ["host"]


def test_repeated_signal_reaches_the_host_at_once(calls: list[str], clock: Clock) -> None:
    signals = server(calls, defers=True)
    signals.wrap()
    stop_me()
    clock.now += REPEAT_AFTER_S
    stop_me()
    assert calls == ["server", "server repeated", "host"]
    signals.unwrap()
    assert calls == ["server", "server repeated", "host"]


def test_signal_for_the_next_server_of_a_process_is_not_a_repeat(calls: list[str], clock: Clock) -> None:
    for _ in range(2):
        signals = server(calls)
        signals.wrap()
        stop_me()
        signals.unwrap()
        clock.now += 10 * REPEAT_AFTER_S
    assert calls == ["server", "host"] * 2


def test_signal_is_deferred_until_the_last_server_unwraps(calls: list[str]) -> None:
    first, second = server(calls, "first", defers=True), server(calls, "second", defers=True)
    quick = server(calls, "quick")
    for signals in (first, second, quick):
        signals.wrap()
    stop_me()
    assert calls == ["first", "second", "quick"]
    quick.unwrap()
    first.unwrap()
    assert "host" not in calls
    second.unwrap()
    assert calls[-1] == "host"


def test_server_that_never_unwraps_does_not_withhold_the_signal(calls: list[str]) -> None:
    never_closed, closing = server(calls, "never closed"), server(calls, "closing", defers=True)
    never_closed.wrap()
    closing.wrap()
    stop_me()
    closing.unwrap()
    assert calls == ["never closed", "closing", "host"]
    never_closed.unwrap()


@pytest.mark.parametrize("default", [signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler])
def test_default_handlers_stay_in_place(default: Any) -> None:
    before = signal.signal(signal.SIGINT, default)
    signals = HostSignals(lambda repeated: False)
    try:
        signals.wrap()
        assert signal.getsignal(signal.SIGINT) == default
    finally:
        signals.unwrap()
        signal.signal(signal.SIGINT, before)


def test_handler_that_was_replaced_in_the_meantime_is_not_restored(calls: list[str]) -> None:
    signals = server(calls)
    signals.wrap()
    ours: Callable[..., Any] = signal.getsignal(signal.SIGTERM)  # type: ignore[assignment]
    signal.signal(signal.SIGTERM, lambda number, frame: calls.append("newer"))
    signals.unwrap()
    stop_me()
    assert calls == ["newer"]
    signal.signal(signal.SIGTERM, ours)  # restored by whoever replaced it, as uvicorn does; it passes signals on
    stop_me()
    assert calls == ["newer", "host"]
    server(calls).unwrap()  # restores the host's handler for the tests that follow
    assert signal.getsignal(signal.SIGTERM) != ours


def test_nothing_happens_outside_the_main_thread(calls: list[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=HostSignals(lambda repeated: False).wrap)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before


def test_last_of_two_servers_restores_the_hosts_handler(calls: list[str]) -> None:
    first, second = server(calls, "first"), server(calls, "second")
    before = signal.getsignal(signal.SIGTERM)
    first.wrap()
    second.wrap()
    first.unwrap()
    stop_me()
    assert calls == ["second", "host"]
    second.unwrap()
    assert signal.getsignal(signal.SIGTERM) is before


def test_handler_of_the_event_loop_is_deferred_and_restored(calls: list[str]) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, calls.append, "loop's host")
        signals = server(calls, defers=True)
        signals.wrap()
        stop_me()
        await wait_until(lambda: calls, "the server to be called")
        await asyncio.sleep(0)
        assert calls == ["server"]
        signals.unwrap()
        await wait_until(lambda: len(calls) == 2, "the host to be called")
        stop_me()
        await wait_until(lambda: len(calls) == 3, "the host to be called again")
        loop.remove_signal_handler(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    asyncio.run(run())
    signal.signal(signal.SIGTERM, before)
    assert calls == ["server", "loop's host", "loop's host"]


def test_handler_of_the_event_loop_runs_at_once_if_no_server_defers(calls: list[str]) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, calls.append, "loop's host")
        signals = server(calls)
        signals.wrap()
        stop_me()
        await wait_until(lambda: len(calls) == 2, "both to be called")
        signals.unwrap()
        loop.remove_signal_handler(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    asyncio.run(run())
    signal.signal(signal.SIGTERM, before)
    assert calls == ["server", "loop's host"]


def test_loop_that_hides_its_handlers_receives_every_signal_at_once(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_signals, "LOOP_HANDLERS", "_renamed_in_a_later_python")

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, calls.append, "loop's host")
        signals = server(calls, defers=True)
        signals.wrap()
        stop_me()
        await wait_until(lambda: len(calls) == 2, "both to be called")
        signals.unwrap()
        stop_me()
        await wait_until(lambda: len(calls) == 3, "the host to be called again")
        loop.remove_signal_handler(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    asyncio.run(run())
    signal.signal(signal.SIGTERM, before)
    assert sorted(calls) == ["loop's host", "loop's host", "server"]
