"""Count the Python calls that a message takes through zmqio.

Run it with `python -m tests.bench.calls`; `--trace` also prints the calls, indented by depth. Two nodes in one
process share a bus in memory, and the clients are driven through ASGI by hand, so the counts depend on nothing but
the code: two runs print the same table. A call is one `call` event of `sys.setprofile` whose code is in `zmqio/`.
A coroutine that is resumed counts again, because the interpreter reports it again.

The four ways:

- `emit`: one `emit` to a room with one local member, until the client is written and the bus has the message.
- `reception`: one message from the bus, until the local client is written.
- `post`: one POST with one event, until its handler has run and its acknowledgement is queued for the client.
- `foreign get`: one GET at a node that does not own the session, until the poll waits at the owner.
"""

import argparse
import asyncio
import json
import logging
import platform
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import structlog

import zmqio
from tests.support.asgi import FakeHttp, FakeWebSocket, http
from tests.support.memory_bus import MemoryNetwork
from tests.support.timing import wait_until
from zmqio.cluster.factory import ClusterAdapterFactory

ROOT = str(Path(zmqio.__file__).parent)
POLLING = "EIO=4&transport=polling"
OPTIONS = zmqio.BusOptions(heartbeat_s=20, dead_after_s=60)
"""So long that no heartbeat falls into a measurement."""
MARK = b"marked-event"
IDLE_TURNS = 50
"""Turns of the event loop after which everything that a request set off has been done."""


@dataclass
class Recorder:
    """Records calls into zmqio between `start` and `stop`.

    Attributes:
        calls: (depth, "file.function") of each call, in order.
    """

    calls: list[tuple[int, str]] = field(default_factory=list)

    def start(self) -> None:
        """Record from now on."""
        sys.setprofile(self._event)

    def stop(self) -> None:
        """Record no more calls."""
        sys.setprofile(None)

    def _event(self, frame: FrameType, event: str, _arg: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(ROOT):
            name = f"{Path(code.co_filename).stem}.{code.co_qualname}"
            self.calls.append((sum(_is_inside(outer) for outer in _outer_frames(frame)), name))


def _outer_frames(frame: FrameType) -> Iterator[FrameType]:
    outer = frame.f_back
    while outer is not None:
        yield outer
        outer = outer.f_back


def _is_inside(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(ROOT)


@contextmanager
def recording() -> Iterator[Recorder]:
    """Record the calls of a block."""
    recorder = Recorder()
    recorder.start()
    try:
        yield recorder
    finally:
        recorder.stop()


class Probe:
    """A bus that calls `on_publish` and `on_receive` for messages that carry `MARK`.

    It wraps a bus, and the node's side of it, by argument and not by method name.
    """

    def __init__(self, inner: Any, on_publish: Callable[[], None], on_receive: Callable[[], None]) -> None:
        self._inner = inner
        self._on_publish = on_publish
        self._on_receive = on_receive

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def publish(self, *args: Any, **options: Any) -> int:
        """Publish a message."""
        links: int = self._inner.publish(*args, **options)
        if any(isinstance(arg, bytes) and MARK in arg for arg in args):
            self._on_publish()
        return links

    async def start(self, events: Any) -> None:
        """Connect; the node receives through a probe of its own."""
        await self._inner.start(_ReceivingProbe(events, self._on_receive))


class _ReceivingProbe:
    def __init__(self, inner: Any, on_receive: Callable[[], None]) -> None:
        self._inner = inner
        self._on_receive = on_receive

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def forward(*args: Any) -> Any:
            if any(isinstance(arg, bytes) and MARK in arg for arg in args):
                self._on_receive()
            return method(*args)

        return forward


class BenchCluster:
    """Two nodes on one bus in memory.

    Attributes:
        near, far: the nodes.
        on_publish: called when a marked message is on the bus.
        on_receive: called before `far` receives a marked message.
    """

    def __init__(self) -> None:
        self._network = MemoryNetwork()
        self.on_publish: Callable[[], None] = _nothing
        self.on_receive: Callable[[], None] = _nothing
        self.near = self._make_node("near")
        self.far = self._make_node("far1")

    def _make_node(self, tag: str) -> zmqio.Server:
        is_far = tag == "far1"
        bus = Probe(
            self._network.bus(tag),
            lambda: self.on_publish(),  # noqa: PLW0108 - a measurement replaces it later
            lambda: self.on_receive() if is_far else None,
        )
        io = zmqio.Server(ClusterAdapterFactory(lambda _identity: bus, OPTIONS), node_tag=tag)

        @io.on("connect")
        async def connect(socket: zmqio.Socket) -> None:
            await socket.join("room")

        @io.on("echo")
        async def echo(_socket: zmqio.Socket, number: int) -> int:
            return number

        return io


def _nothing() -> None:
    pass


@asynccontextmanager
async def running() -> AsyncIterator[BenchCluster]:
    """Two nodes that know each other."""
    cluster = BenchCluster()
    async with cluster.near, cluster.far:
        await wait_until(
            lambda: cluster.near.server_count() == cluster.far.server_count() == 2,
            "two nodes that know each other",
        )
        yield cluster


async def idle() -> None:
    """Wait until nothing is left to do."""
    for _ in range(IDLE_TURNS):
        await asyncio.sleep(0)


async def open_websocket(io: zmqio.Server, on_send: Callable[[], None] = _nothing) -> FakeWebSocket:
    """Connect a WebSocket client to `/`; `on_send` is called when a marked message is written to it."""
    app = io.asgi()

    async def probed_app(scope: Any, receive: Any, send: Any) -> None:
        async def probed_send(message: Any) -> None:
            if MARK.decode() in (message.get("text") or ""):
                on_send()
            await send(message)

        await app(scope, receive, probed_send)

    socket = FakeWebSocket(probed_app, "EIO=4&transport=websocket")
    await socket.receive()
    socket.send("40")
    await socket.receive()
    await idle()
    return socket


async def open_polling(io: zmqio.Server) -> str:
    """Connect a polling client to `/`; returns its session id."""
    app = io.asgi()
    opened = await http(app, "GET", POLLING)
    query = f"{POLLING}&sid={json.loads(opened.text[1:])['sid']}"
    await http(app, "POST", query, body=b"40")
    await http(app, "GET", query)
    await idle()
    return query


async def count_emit() -> Recorder:
    """An emit, until the client is written and the bus has the message."""
    async with running() as cluster:
        recorder = Recorder()
        left = {"client", "bus"}

        def reached(place: str) -> None:
            left.discard(place)
            if not left:
                recorder.stop()

        await open_websocket(cluster.near, lambda: reached("client"))
        await open_websocket(cluster.far)  # so that the room is wanted on the bus
        cluster.on_publish = lambda: reached("bus")
        recorder.start()
        await cluster.near.to("room").emit(MARK.decode(), 1)
        await idle()
        recorder.stop()
        assert not left, left
        return recorder


async def count_reception() -> Recorder:
    """A message from the bus, until the client is written."""
    async with running() as cluster:
        recorder = Recorder()
        await open_websocket(cluster.far, recorder.stop)
        cluster.on_receive = recorder.start
        await cluster.near.to("room").emit(MARK.decode(), 1)
        await idle()
        recorder.stop()
        return recorder


async def count_post() -> Recorder:
    """A POST with one event, until its acknowledgement is queued."""
    async with running() as cluster:
        query = await open_polling(cluster.near)
        app = cluster.near.asgi()
        with recording() as recorder:
            posted = await http(app, "POST", query, body=b'421["echo",1]')
            await idle()
        acknowledged = await http(app, "GET", query)
        assert (posted.text, acknowledged.text) == ("ok", "431[1]"), (posted, acknowledged)
        return recorder


async def count_foreign_get() -> Recorder:
    """A GET at the other node, until the poll waits at the owner."""
    async with running() as cluster:
        query = await open_polling(cluster.near)
        app = cluster.far.asgi()
        with recording() as recorder:
            poll = FakeHttp(app, "GET", query)
            await idle()
        assert not poll.task.done()
        await cluster.near.emit("end", 1)
        assert (await poll).text == '42["end",1]'
        return recorder


WAYS: dict[str, Callable[[], Awaitable[Recorder]]] = {
    "emit": count_emit,
    "reception": count_reception,
    "post": count_post,
    "foreign get": count_foreign_get,
}


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", action="store_true", help="print every call, indented by depth")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(f"versions: Python {platform.python_version()}, zmqio {zmqio.__version__}")
    print(f"command:  python -m tests.bench.calls{' --trace' if options.trace else ''}\n")
    recorders = {way: asyncio.run(_run(count)) for way, count in WAYS.items()}
    print(f"{'':<14}{'calls':>8}")
    for way, recorder in recorders.items():
        print(f"{way:<14}{len(recorder.calls):>8}")
        if not recorder.calls:
            raise SystemExit(f"{way}: no call was recorded")
    if options.trace:
        for way, recorder in recorders.items():
            print(f"\n{way}")
            for depth, name in recorder.calls:
                print(f"{'  ' * (depth + 1)}{name}")


async def _run(count: Callable[[], Awaitable[Recorder]]) -> Recorder:
    return await count()


if __name__ == "__main__":
    main()
