"""Spans of OpenTelemetry for servers and emitters, with its API alone: the application chooses the SDK.

Source: semantic conventions for messaging, https://opentelemetry.io/docs/specs/semconv/messaging/
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from typing import Any

from zmqio.emitter import AsyncEmitter, Emitter
from zmqio.exceptions import ConfigError
from zmqio.server.server import Server

__all__ = ["instrument"]

MISSING = "tracing needs the package opentelemetry-api; install it with `pip install zmqio[opentelemetry]`"
SYSTEM = "socketio"


def instrument(target: Server | Emitter | AsyncEmitter, *, tracer_provider: Any = None) -> None:
    """Trace a server that has not started, or an emitter.

    A server makes three kinds of spans: `socketio receive EVENT` for the handler of a client's event, `socketio
    emit EVENT` for an emit inside a sampled span, and `socketio deliver` for the delivery of such an emit of
    another node or of an outside sender. The context travels over the bus with the message. An emitter sends the
    current context with each event and makes no spans of its own.

    Example: `zmqio.telemetry.instrument(io)`

    Args:
        target: the server or emitter.
        tracer_provider: an OpenTelemetry tracer provider; by default the global one.

    Raises:
        ConfigError: opentelemetry-api is not installed.
        RuntimeError: the server runs already.
    """
    try:
        from opentelemetry import trace
    except ImportError as error:
        raise ConfigError(MISSING) from error
    target.trace(_Spans(trace.get_tracer("zmqio", version("zmqio"), tracer_provider)))


class _Spans:
    """Makes the spans; implements `zmqio.tracing.Tracing`."""

    def __init__(self, tracer: Any) -> None:
        from opentelemetry import context, trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._trace = trace
        self._no_context = context.Context()
        self._format = TraceContextTextMapPropagator()

    def handling(self, namespace: str, event: str, sid: str) -> AbstractContextManager[object]:
        span: AbstractContextManager[object] = self._tracer.start_as_current_span(
            f"{SYSTEM} receive {event}",
            context=self._no_context,  # not the request of the connection, which may last for hours
            kind=self._trace.SpanKind.CONSUMER,
            attributes={**_attributes(namespace, "process", event), "socketio.sid": sid},
        )
        return span

    def emitting(self, namespace: str, event: str) -> AbstractContextManager[object]:
        if not self._is_traced():
            return nullcontext()
        span: AbstractContextManager[object] = self._tracer.start_as_current_span(
            f"{SYSTEM} emit {event}",
            kind=self._trace.SpanKind.PRODUCER,
            attributes=_attributes(namespace, "send", event),
        )
        return span

    @contextmanager
    def delivering(self, namespace: str, traceparent: str, event: str) -> Iterator[None]:
        parent = self._format.extract({"traceparent": traceparent}, context=self._no_context)
        with self._tracer.start_as_current_span(
            f"{SYSTEM} deliver {event}".rstrip(),
            context=parent,
            kind=self._trace.SpanKind.CONSUMER,
            attributes=_attributes(namespace, "deliver", event),
        ):
            yield

    def traceparent(self) -> str:
        if not self._is_traced():
            return ""
        carrier: dict[str, str] = {}
        self._format.inject(carrier)
        return carrier.get("traceparent", "")

    def _is_traced(self) -> bool:
        # Not `is_recording`: a handler of another node's event goes on after the span of its delivery.
        context = self._trace.get_current_span().get_span_context()
        return bool(context.is_valid and context.trace_flags.sampled)


def _attributes(namespace: str, operation: str, event: str) -> dict[str, str]:
    found = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.destination.name": namespace,
    }
    if event:
        found["socketio.event"] = event
    return found
