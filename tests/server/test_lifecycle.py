"""`ServerLifecycle`, through a `Server`: start, close, drain, stop signals and health."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.support.asgi import http
from tests.support.memory_bus import MemoryNetwork
from tests.support.timing import LIMIT_S, wait_until
from zmqio.adapter.base import Identity, NodeEvents
from zmqio.adapter.local import LocalAdapterFactory
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.exceptions import ServerClosedError
from zmqio.server import host_signals
from zmqio.server.server import Server
from zmqio.stop_requests import REPEAT_AFTER_S


async def test_life_is_start_once_and_close_once() -> None:
    io = Server(adapter=None)
    assert not io.running
    assert io.health().reasons[0].startswith("the server has not started")
    with pytest.raises(RuntimeError, match=r"await io\.start"):
        _ = io.node_id
    async with io:
        await io.start()
        assert io.running
        assert io.health().ready
        assert len(io.node_id) == 15
    assert not io.running
    await io.close()


async def test_emit_starts_the_server_by_itself() -> None:
    io = Server(adapter=None)
    await io.emit("nobody is here")
    assert io.running
    await io.close()


async def test_closed_server_does_not_start_again_by_itself() -> None:
    io = Server(adapter=None)
    await io.start()
    await io.close()
    with pytest.raises(ServerClosedError):
        await io.emit("too late")
    assert not io.running
    await io.start()
    await io.emit("again")
    await io.close()


class CountingFactory(LocalAdapterFactory):
    """Counts starts and closes, and takes its time to settle."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.gate = asyncio.Event()

    async def start(self, identity: Identity, events: NodeEvents) -> None:
        self.calls.append("start")

    async def wait_for_tag_check(self, limit_s: float) -> None:
        await self.gate.wait()

    async def close(self) -> None:
        self.calls.append("close")


async def test_cancelled_start_leaves_nothing_on_the_bus() -> None:
    factory = CountingFactory()
    starting = asyncio.ensure_future(Server(adapter=factory).start())
    await wait_until(lambda: factory.calls == ["start"], "it starts")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert factory.calls == ["start", "close"]


async def test_close_during_a_start_waits_for_it_and_closes() -> None:
    factory = CountingFactory()
    io = Server(adapter=factory)
    starting = asyncio.ensure_future(io.start())
    await wait_until(lambda: factory.calls == ["start"], "it starts")
    closing = asyncio.ensure_future(io.close())
    await asyncio.sleep(0)
    factory.gate.set()
    await asyncio.gather(starting, closing)
    assert factory.calls == ["start", "close"]
    assert not io.running


class HoldingEngine:
    """Polling clients of a server, without HTTP."""

    def __init__(self, io: Server) -> None:
        self._io = io

    async def open(self) -> str:
        answer = await http(self._io.engine.handle, "GET", "EIO=4&transport=polling")
        assert answer.status == 200
        sid: str = json.loads(answer.text[1:].split("\x1e")[0])["sid"]
        return sid

    async def get(self, sid: str) -> str:
        return (await http(self._io.engine.handle, "GET", f"EIO=4&transport=polling&sid={sid}")).text


FOR_EVER_S = 10_000.0


async def test_drain_lets_go_of_those_who_are_there_and_refuses_others() -> None:
    async with Server(adapter=None) as io:
        clients = HoldingEngine(io)
        sid = await clients.open()
        closing = asyncio.ensure_future(io.close(drain_s=FOR_EVER_S))
        await asyncio.sleep(0)
        assert io.health().reasons == ("the server is shutting down",)
        assert io.health().details["sessions"] == 1
        assert (await http(io.engine.handle, "GET", "EIO=4&transport=polling")).status == 503
        await io.emit("nobody has joined")
        assert not closing.done()

        poll = asyncio.ensure_future(clients.get(sid))
        await io.close(drain_s=0)  # now
        assert await poll == "1"
        await closing
        assert not io.running
        assert io.health().reasons == ("the server has stopped",)


async def test_drain_ends_when_the_last_client_has_gone() -> None:
    async with Server(adapter=None) as io:
        sid = await HoldingEngine(io).open()
        closing = asyncio.ensure_future(io.close(drain_s=FOR_EVER_S))
        await asyncio.sleep(0)
        io.engine.sessions[sid].end("transport close")  # type: ignore[index]
        await asyncio.wait_for(closing, LIMIT_S)


async def test_drain_without_clients_takes_no_time() -> None:
    async with Server(adapter=None) as io:
        await asyncio.wait_for(io.close(drain_s=FOR_EVER_S), LIMIT_S)


async def test_close_that_is_cancelled_ends_the_drain() -> None:
    async with Server(adapter=None) as io:
        await HoldingEngine(io).open()
        closing = asyncio.ensure_future(io.close(drain_s=FOR_EVER_S))
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait_for(io.close(drain_s=FOR_EVER_S), LIMIT_S)
        assert not io.running


async def test_close_takes_the_drain_from_the_options() -> None:
    async with Server(adapter=None, drain_s=FOR_EVER_S) as io:
        await HoldingEngine(io).open()
        closing = asyncio.ensure_future(io.close())
        await asyncio.sleep(0)
        assert not closing.done()
        await io.close(drain_s=0)
        await closing


@pytest.mark.parametrize("drain_s", [-1, float("nan"), float("inf")])
async def test_drain_that_cannot_be_closes_nothing(drain_s: float) -> None:
    async with Server(adapter=None) as io:
        with pytest.raises(ValueError, match="drain_s"):
            await io.close(drain_s=drain_s)
        assert io.running


def stop_me() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def host() -> Iterator[list[int]]:
    """A host with a handler for SIGTERM that notes what it hears."""
    heard: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    yield heard
    signal.signal(signal.SIGTERM, previous)


async def test_host_that_is_told_to_stop_goes_on_until_the_clients_have_gone(host: list[int]) -> None:
    async with Server(adapter=None, drain_s=FOR_EVER_S) as io:
        sid = await HoldingEngine(io).open()
        stop_me()
        await wait_until(lambda: not io.health().ready, "the drain to begin")
        assert host == []
        io.engine.sessions[sid].end("transport close")  # type: ignore[index]
        await wait_until(lambda: host, "the host to hear")
        assert not io.running
    assert host == [signal.SIGTERM]


async def test_host_without_a_drain_hears_at_once(host: list[int]) -> None:
    async with Server(adapter=None) as io:
        stop_me()
        assert host == [signal.SIGTERM]
        await wait_until(lambda: not io.running, "the end")


async def test_second_signal_ends_the_drain_and_the_host_hears_it_at_once(
    host: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(host_signals, "monotonic", lambda: now)
    async with Server(adapter=None, drain_s=FOR_EVER_S) as io:
        await HoldingEngine(io).open()
        stop_me()
        await wait_until(lambda: not io.health().ready, "the drain to begin")
        now += REPEAT_AFTER_S
        stop_me()
        assert host == [signal.SIGTERM]
        await wait_until(lambda: not io.running, "the end")
    assert host == [signal.SIGTERM]


async def test_drain_that_the_application_began_holds_a_signal_back_too(host: list[int]) -> None:
    async with Server(adapter=None) as io:
        await HoldingEngine(io).open()
        closing = asyncio.ensure_future(io.close(drain_s=FOR_EVER_S))
        await asyncio.sleep(0)
        stop_me()
        assert host == []
        await io.close(drain_s=0)
        await closing
    assert host == [signal.SIGTERM]


async def test_health_tells_what_was_passed_on_between_nodes() -> None:
    network = MemoryNetwork()
    one, two = (Server(ClusterAdapterFactory(lambda identity: network.bus())) for _ in range(2))
    async with one, two:
        await wait_until(lambda: one.adapter.server_count() == two.adapter.server_count() == 2, "both")
        opened = await http(two.engine.handle, "GET", "EIO=4&transport=polling")
        sid = opened.text.split('"')[3]
        assert (
            await http(one.engine.handle, "POST", f"EIO=4&transport=polling&sid={sid}", body=b"40")
        ).text == "ok"
        assert (await http(one.engine.handle, "GET", f"EIO=4&transport=polling&sid={sid}")).text.startswith("40{")
        assert one.health().details["relay"] == {"polls_forwarded": 2}
        assert two.health().details["relay"] == {"polls_served": 2}
        assert one.health().details["relay_requests_open"] == one.health().details["sessions_unknown"] == 0


async def test_process_that_is_alone_counts_sessions_that_it_does_not_know() -> None:
    async with Server(None) as io:
        assert (await http(io.engine.handle, "GET", f"EIO=4&transport=polling&sid={'x' * 20}")).status == 400
        assert io.health().details == {"sessions": 0, "sessions_unknown": 1}
