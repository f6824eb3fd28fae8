"""Spans of real servers, recorded by OpenTelemetry's SDK."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import zmqio
from tests.support.broker import BrokerProcess
from tests.support.pages import ROOT, Block
from tests.support.py_clients import PyClient
from tests.support.served import Served
from tests.support.timing import LIMIT_S, wait_until
from zmqio.telemetry import instrument

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode


class Recorder:
    """Records the spans of one provider."""

    def __init__(self) -> None:
        self.provider = TracerProvider()
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    async def wait(self, name: str) -> ReadableSpan:
        await wait_until(lambda: self.named(name), name)
        return self.named(name)[0]


@pytest.fixture
def spans() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.provider.shutdown()


def make_server(spans: Recorder, adapter: str | None) -> zmqio.Server:
    io = zmqio.Server(adapter)
    instrument(io, tracer_provider=spans.provider)

    @io.on("connect")
    async def connect(socket: zmqio.Socket) -> None:
        await socket.join("lobby")

    @io.on("say")
    async def say(socket: zmqio.Socket, text: str) -> str:
        await io.to("lobby").emit("said", text)
        await socket.emit("echoed", text)
        await io.server_side_emit("noted", text)
        return "ok"

    @io.on("fail")
    async def fail(_socket: zmqio.Socket) -> None:
        raise RuntimeError("a bug")

    @io.on_server_side("noted")
    async def noted(text: str) -> None:
        await io.local.emit("noted", text)

    return io


@asynccontextmanager
async def client_of(io: zmqio.Server) -> AsyncIterator[Any]:
    async with Served(io.asgi()) as served:
        client = PyClient(served.url, "websocket")
        await client.connect()
        try:
            yield client
        finally:
            await client.end()


def parent(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def own_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


async def test_handlers_are_root_spans_and_emits_their_children(spans: Recorder) -> None:
    io = make_server(spans, None)
    async with client_of(io) as client:
        assert await client.call("say", "hello") == "ok"
        received = await spans.wait("socketio receive say")
        assert (received.parent, received.kind) == (None, SpanKind.CONSUMER)
        assert received.attributes is not None
        assert dict(received.attributes) == {
            "messaging.system": "socketio",
            "messaging.operation.name": "process",
            "messaging.destination.name": "/",
            "socketio.event": "say",
            "socketio.sid": client.sid,
        }
        for name in ("said", "echoed", "noted"):
            (emitted,) = spans.named(f"socketio emit {name}")
            assert parent(emitted) == own_id(received)
            assert emitted.kind is SpanKind.PRODUCER


async def test_failure_of_a_handler_is_the_status_of_its_span(spans: Recorder) -> None:
    async with client_of(make_server(spans, None)) as client:
        await client.emit("fail")
        failed = await spans.wait("socketio receive fail")
        assert failed.status.status_code is StatusCode.ERROR
        assert [event.name for event in failed.events] == ["exception"]


async def test_names_of_events_that_only_the_catch_all_handler_takes_are_no_span_names(spans: Recorder) -> None:
    io = make_server(spans, None)
    io.on("*", lambda _socket, event: event)
    async with client_of(io) as client:
        assert await client.call("made-up") == "made-up"
        await spans.wait("socketio receive *")
        assert spans.named("socketio receive made-up") == []


async def test_emit_outside_a_span_makes_none(spans: Recorder) -> None:
    io = zmqio.Server(None)
    instrument(io, tracer_provider=spans.provider)
    async with io:
        await io.emit("news")
        assert spans.named("socketio emit news") == []


async def test_context_travels_to_other_nodes(spans: Recorder) -> None:
    async with BrokerProcess() as broker:
        there = Recorder()
        one, two = make_server(spans, broker.address), make_server(there, broker.address)
        async with client_of(one) as sender, client_of(two) as receiver:
            await wait_until(lambda: one.server_count() == two.server_count() == 2, "both nodes")
            await sender.call("say", "hello")
            await wait_until(lambda: len(receiver.received.events) == 2, "the events")
            emitted = await spans.wait("socketio emit said")
            await wait_until(lambda: len(there.named("socketio deliver")) == 2, "the spans there")
            parents = {parent(span) for span in there.named("socketio deliver")}
            assert parents == {own_id(emitted), own_id(spans.named("socketio emit noted")[0])}
            # An emit in a handler of a server-side event belongs to the same trace.
            again = await there.wait("socketio emit noted")
            assert again.context is not None
            assert emitted.context is not None
            assert again.context.trace_id == emitted.context.trace_id


async def test_context_comes_from_outside_senders(spans: Recorder) -> None:
    async with BrokerProcess() as broker:
        io = make_server(spans, broker.address)
        async with client_of(io) as client:
            await wait_until(lambda: io.health().ready, "the broker")
            job = spans.provider.get_tracer("job").start_as_current_span
            with zmqio.Emitter(broker.address, send_timeout_s=LIMIT_S) as emitter:
                instrument(emitter, tracer_provider=spans.provider)
                with job("one") as one:
                    emitter.to("lobby").emit("news", 1)
                emitter.emit("more", 2)
            async with zmqio.AsyncEmitter(broker.address, send_timeout_s=LIMIT_S) as async_emitter:
                instrument(async_emitter, tracer_provider=spans.provider)
                with job("two") as two:
                    await async_emitter.to("lobby").emit("later news", 3)
                await async_emitter.emit("more", 4)
                await wait_until(lambda: len(client.received.events) == 4, "all events")
        for name, span in (("news", one), ("later news", two)):
            assert parent(await spans.wait(f"socketio deliver {name}")) == span.get_span_context().span_id
        assert spans.named("socketio deliver more") == []


async def test_block_of_the_page_serves_clients() -> None:
    (block,) = Block.of(ROOT / "docs" / "tracing.md")
    names: dict[str, Any] = {}
    exec(block.text, names)
    async with client_of(names["io"]) as client:
        assert await client.call("say", "hello") is None


async def test_server_that_runs_cannot_be_instrumented(spans: Recorder) -> None:
    async with zmqio.Server(None) as io:
        with pytest.raises(RuntimeError, match="before it starts"):
            instrument(io, tracer_provider=spans.provider)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(zmqio.ConfigError, match=r"pip install zmqio\[opentelemetry\]"):
        instrument(zmqio.Server(None))
