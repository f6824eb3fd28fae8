"""The helper for emits that are rarely traced."""

from contextlib import AbstractContextManager, nullcontext

from zmqio.tracing import Tracing, emitting


class Recording:
    def __init__(self) -> None:
        self.emitted: list[tuple[str, str]] = []

    def handling(self, namespace: str, event: str, sid: str) -> AbstractContextManager[object]:
        return nullcontext()

    def emitting(self, namespace: str, event: str) -> AbstractContextManager[object]:
        self.emitted.append((namespace, event))
        return nullcontext()

    def delivering(self, namespace: str, traceparent: str, event: str) -> AbstractContextManager[object]:
        return nullcontext()

    def traceparent(self) -> str:
        return ""


def test_nothing_happens_without_tracing() -> None:
    with emitting(None, "/", "news"):
        pass


def test_emit_is_passed_on() -> None:
    recording = Recording()
    tracing: Tracing = recording
    with emitting(tracing, "/", "news"):
        pass
    assert recording.emitted == [("/", "news")]
