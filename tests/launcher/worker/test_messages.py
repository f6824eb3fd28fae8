"""Messages of workers: round trips, exact text, malformed input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.launcher.worker.messages import (
    ConnectionsClosed,
    WorkerAlive,
    WorkerFailed,
    WorkerMessage,
    WorkerMessageReader,
    WorkerReady,
    WorkerStopping,
    encode_worker_message,
)

MESSAGES: st.SearchStrategy[WorkerMessage] = st.one_of(
    st.just(WorkerReady()),
    st.just(WorkerAlive()),
    st.just(WorkerStopping()),
    st.builds(ConnectionsClosed, st.integers(1, 10**6)),
    st.builds(WorkerFailed, st.text(), st.text(max_size=100)),
)


@given(st.lists(MESSAGES), st.integers(1, 20))
def test_messages_round_trip_in_any_pieces(messages: list[WorkerMessage], piece: int) -> None:
    data = b"".join(encode_worker_message(message) for message in messages)
    reader = WorkerMessageReader()
    found = [message for at in range(0, len(data), piece) for message in reader.feed(data[at : at + piece])]
    assert found == messages


def test_exact_wire_text() -> None:
    assert (
        encode_worker_message(WorkerReady())
        + encode_worker_message(WorkerAlive())
        + encode_worker_message(ConnectionsClosed(3))
        + encode_worker_message(WorkerStopping())
        == b"ready\nalive\nclosed 3\nstopping\n"
    )


def test_long_traceback_keeps_its_end() -> None:
    (found,) = WorkerMessageReader().feed(encode_worker_message(WorkerFailed("why", "x" * 100_000 + "the end")))
    assert isinstance(found, WorkerFailed)
    assert found.traceback.endswith("the end")
    assert len(found.traceback) == 20_000


@pytest.mark.parametrize("malformed", [b"hello\n", b"closed x\n", b"failed {\n", b"x" * 200_000])
def test_malformed_message_is_an_error(malformed: bytes) -> None:
    with pytest.raises(ValueError):
        WorkerMessageReader().feed(malformed)
