"""The contract between a server and what traces it, such as `zmqio.telemetry`. No library is named here."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

__all__ = ["Tracing", "emitting"]


class Tracing(Protocol):
    """Makes spans. Each method returns a context manager that is entered around the work."""

    def handling(self, namespace: str, event: str, sid: str) -> AbstractContextManager[object]:
        """Around the handler of a client's event; `event` is `*` if only the catch-all handler takes it."""

    def emitting(self, namespace: str, event: str) -> AbstractContextManager[object]:
        """Around the emit of an event to clients or to other nodes."""

    def delivering(self, namespace: str, traceparent: str, event: str) -> AbstractContextManager[object]:
        """Around work for another node or an outside sender, whose context is `traceparent`.

        Args:
            namespace: the namespace.
            traceparent: as in the header of that name. Source: W3C Trace Context, section 3.2.
            event: the event; empty where it is not known.
        """

    def traceparent(self) -> str:
        """Return the current context, for other nodes; empty if nothing is recorded."""


def emitting(tracing: Tracing | None, namespace: str, event: str) -> AbstractContextManager[object]:
    """Return a context manager for an emit, which does nothing if nothing is traced."""
    return nullcontext() if tracing is None else tracing.emitting(namespace, event)
