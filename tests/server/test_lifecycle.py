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
from zmqio.adapter.local import LocalAdapter, LocalAdapterFactory
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.exceptions import ServerClosedError
from zmqio.server import host_signals
from zmqio.server.server import Server
from zmqio.server.socket import Socket
from zmqio.stop_requests import REPEAT_AFTER_S


async def test_server_starts_once_and_closes_once() -> None:
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


async def test_emit_starts_the_server() -> None:
    io = Server(adapter=None)
    await io.emit("nobody is here")
    assert io.running
    await io.close()


async def test_closed_server_restarts_only_explicitly() -> None:
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
    """Records starts and closes; the tag check waits for `gate`."""

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


async def test_cancelled_start_closes_the_adapter() -> None:
    factory = CountingFactory()
    starting = asyncio.ensure_future(Server(adapter=factory).start())
    await wait_until(lambda: factory.calls == ["start"], "the start")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert factory.calls == ["start", "close"]


async def test_close_during_a_start_waits_and_closes() -> None:
    factory = CountingFactory()
    io = Server(adapter=factory)
    starting = asyncio.ensure_future(io.start())
    await wait_until(lambda: factory.calls == ["start"], "the start")
    closing = asyncio.ensure_future(io.close())
    await asyncio.sleep(0)
    factory.gate.set()
    await asyncio.gather(starting, closing)
    assert factory.calls == ["start", "close"]
    assert not io.running


class PollingClients:
    """Polling clients of a server, through ASGI without HTTP."""

    def __init__(self, io: Server) -> None:
        self._io = io

    async def open(self) -> str:
        answer = await http(self._io.engine.handle, "GET", "EIO=4&transport=polling")
        assert answer.status == 200
        sid: str = json.loads(answer.text[1:].split("\x1e")[0])["sid"]
        return sid

    async def get(self, sid: str) -> str:
        return (await http(self._io.engine.handle, "GET", f"EIO=4&transport=polling&sid={sid}")).text


LONG_DRAIN_S = 10_000.0


async def test_drain_keeps_existing_sessions_and_refuses_new_ones() -> None:
    async with Server(adapter=None) as io:
        clients = PollingClients(io)
        sid = await clients.open()
        closing = asyncio.ensure_future(io.close(drain_s=LONG_DRAIN_S))
        await asyncio.sleep(0)
        assert io.health().reasons == ("the server is shutting down",)
        assert io.health().details["sessions"] == 1
        assert (await http(io.engine.handle, "GET", "EIO=4&transport=polling")).status == 503
        await io.emit("nobody has joined")
        assert not closing.done()

        poll = asyncio.ensure_future(clients.get(sid))
        await io.close(drain_s=0)  # ends the drain
        assert await poll == "1"
        await closing
        assert not io.running
        assert io.health().reasons == ("the server has stopped",)


async def test_drain_ends_when_the_last_client_has_disconnected() -> None:
    async with Server(adapter=None) as io:
        sid = await PollingClients(io).open()
        closing = asyncio.ensure_future(io.close(drain_s=LONG_DRAIN_S))
        await asyncio.sleep(0)
        io.engine.sessions[sid].end("transport close")  # type: ignore[index]
        await asyncio.wait_for(closing, LIMIT_S)


async def test_drain_without_clients_ends_at_once() -> None:
    async with Server(adapter=None) as io:
        await asyncio.wait_for(io.close(drain_s=LONG_DRAIN_S), LIMIT_S)


async def test_cancelled_close_ends_the_drain() -> None:
    async with Server(adapter=None) as io:
        await PollingClients(io).open()
        closing = asyncio.ensure_future(io.close(drain_s=LONG_DRAIN_S))
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait_for(io.close(drain_s=LONG_DRAIN_S), LIMIT_S)
        assert not io.running


async def test_close_uses_the_drain_time_of_the_options() -> None:
    async with Server(adapter=None, drain_s=LONG_DRAIN_S) as io:
        await PollingClients(io).open()
        closing = asyncio.ensure_future(io.close())
        await asyncio.sleep(0)
        assert not closing.done()
        await io.close(drain_s=0)
        await closing


@pytest.mark.parametrize("drain_s", [-1, float("nan"), float("inf")])
async def test_invalid_drain_time_closes_nothing(drain_s: float) -> None:
    async with Server(adapter=None) as io:
        with pytest.raises(ValueError, match="drain_s"):
            await io.close(drain_s=drain_s)
        assert io.running


def stop_me() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def host() -> Iterator[list[int]]:
    """A host with a handler for SIGTERM that records its signals."""
    received: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, previous)


async def test_stop_signal_is_deferred_until_the_clients_have_disconnected(host: list[int]) -> None:
    async with Server(adapter=None, drain_s=LONG_DRAIN_S) as io:
        sid = await PollingClients(io).open()
        stop_me()
        await wait_until(lambda: not io.health().ready, "the drain to start")
        assert host == []
        io.engine.sessions[sid].end("transport close")  # type: ignore[index]
        await wait_until(lambda: host, "the host to receive the signal")
        assert not io.running
    assert host == [signal.SIGTERM]


async def test_stop_signal_reaches_the_host_at_once_without_a_drain(host: list[int]) -> None:
    async with Server(adapter=None) as io:
        stop_me()
        assert host == [signal.SIGTERM]
        await wait_until(lambda: not io.running, "the server to close")


async def test_repeated_signal_ends_the_drain_and_reaches_the_host_at_once(
    host: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(host_signals, "monotonic", lambda: now)
    async with Server(adapter=None, drain_s=LONG_DRAIN_S) as io:
        await PollingClients(io).open()
        stop_me()
        await wait_until(lambda: not io.health().ready, "the drain to start")
        now += REPEAT_AFTER_S
        stop_me()
        assert host == [signal.SIGTERM]
        await wait_until(lambda: not io.running, "the server to close")
    assert host == [signal.SIGTERM]


async def test_drain_by_the_application_also_defers_a_signal(host: list[int]) -> None:
    async with Server(adapter=None) as io:
        await PollingClients(io).open()
        closing = asyncio.ensure_future(io.close(drain_s=LONG_DRAIN_S))
        await asyncio.sleep(0)
        stop_me()
        assert host == []
        await io.close(drain_s=0)
        await closing
    assert host == [signal.SIGTERM]


async def test_health_counts_relayed_requests() -> None:
    network = MemoryNetwork()
    one, two = (Server(ClusterAdapterFactory(lambda identity: network.bus())) for _ in range(2))
    async with one, two:
        await wait_until(
            lambda: one.adapter.server_count() == two.adapter.server_count() == 2, "both nodes to know each other"
        )
        opened = await http(two.engine.handle, "GET", "EIO=4&transport=polling")
        sid = opened.text.split('"')[3]
        assert (
            await http(one.engine.handle, "POST", f"EIO=4&transport=polling&sid={sid}", body=b"40")
        ).text == "ok"
        assert (await http(one.engine.handle, "GET", f"EIO=4&transport=polling&sid={sid}")).text.startswith("40{")
        first, second = one.health().details, two.health().details
        assert first["counters"]["relay"] == {"polls_forwarded": 2}
        assert second["counters"]["relay"] == {"polls_served": 2}
        assert first["counters"]["engine"] == {}
        assert second["counters"]["engine"] == {"sessions_opened": 1}
        assert first["counters"]["bus"]["bus_gaps"] == 0
        assert first["relay_requests_open"] == 0


async def test_single_process_counts_unknown_sessions() -> None:
    async with Server(None) as io:
        assert (await http(io.engine.handle, "GET", f"EIO=4&transport=polling&sid={'x' * 20}")).status == 400
        assert io.health().details == {
            "sessions": 0,
            "counters": {"engine": {"sessions_unknown": 1}, "server": {}},
        }


async def test_health_shows_the_counters_of_the_server() -> None:
    async with Server(None) as io:
        io.on("fail", _fail)
        opened = await http(io.engine.handle, "GET", "EIO=4&transport=polling")
        sid = opened.text.split('"')[3]
        query = f"EIO=4&transport=polling&sid={sid}"
        await http(io.engine.handle, "POST", query, body=b"40")
        assert (await http(io.engine.handle, "GET", query)).text.startswith("40{")
        await http(io.engine.handle, "POST", query, body=b'42["fail"]')
        await wait_until(lambda: "handlers_failed" in io.health().details["counters"]["server"], "the failure")
        await http(io.engine.handle, "POST", query, body=b"4nonsense")
        counters = io.health().details["counters"]
        assert counters["server"]["handlers_failed"] == counters["server"]["packets_malformed"] == 1
        assert counters["engine"]["sessions_opened"] == 1


async def _fail(socket: Socket) -> None:
    raise ValueError("as a test wants it")


async def test_server_whose_adapter_fails_to_open_is_not_running_and_starts_again_later() -> None:
    class FailsOnce(LocalAdapter):
        failed = False

        async def open(self) -> None:
            if not FailsOnce.failed:
                FailsOnce.failed = True
                raise OSError("no disk")

    io = Server(adapter=FailsOnce)
    for name in ("/a", "/b"):
        io.of(name)
    with pytest.raises(OSError, match="no disk"):
        await io.start()
    assert not io.running
    assert not io.health().ready
    async with io:
        assert io.health().ready
        await io.of("/b").emit("x")


async def test_failed_start_leaves_the_cluster() -> None:
    network = MemoryNetwork()
    io = Server(adapter=ClusterAdapterFactory(lambda identity: network.bus(), adapter_class=NeverOpens))
    with pytest.raises(OSError, match="no disk"):
        await io.start()
    assert not io.running
    assert not io.health().ready


class NeverOpens(ClusterAdapter):
    """An adapter that fails to open when it has subscribed."""

    async def open(self) -> None:
        await super().open()
        raise OSError("no disk")
