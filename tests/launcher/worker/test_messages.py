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
    WorkerSamples,
    WorkerStopping,
    encode_worker_message,
)
from zmqio.metrics.samples import Sample

SAMPLES = st.builds(
    Sample,
    st.text(),
    st.integers() | st.floats(allow_nan=False),
    st.lists(st.tuples(st.text(), st.text()), max_size=2).map(tuple),
    st.sampled_from(["", "_total"]),
)
MESSAGES: st.SearchStrategy[WorkerMessage] = st.one_of(
    st.just(WorkerReady()),
    st.just(WorkerAlive()),
    st.just(WorkerStopping()),
    st.builds(ConnectionsClosed, st.integers(1, 10**6)),
    st.builds(WorkerSamples, st.lists(SAMPLES, max_size=5).map(tuple)),
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
    one = Sample("zmqio_sockets", 2, (("namespace", "/"),))
    assert encode_worker_message(WorkerSamples((one,))) == (
        b'counted [["zmqio_sockets", 2, [["namespace", "/"]], ""]]\n'
    )


def test_report_that_is_too_long_leaves_out_the_metrics_with_labels() -> None:
    many = [Sample("zmqio_sockets", 1, (("namespace", f"/{number:0999}"),)) for number in range(200)]
    line = encode_worker_message(WorkerSamples((*many, Sample("zmqio_nodes", 2))))
    assert WorkerMessageReader().feed(line) == [WorkerSamples((Sample("zmqio_nodes", 2),))]


def test_long_traceback_keeps_its_end() -> None:
    (found,) = WorkerMessageReader().feed(encode_worker_message(WorkerFailed("why", "x" * 100_000 + "the end")))
    assert isinstance(found, WorkerFailed)
    assert found.traceback.endswith("the end")
    assert len(found.traceback) == 20_000


@pytest.mark.parametrize(
    "malformed",
    [
        b"hello\n",
        b"closed x\n",
        b"failed {\n",
        b'failed {"x": 1}\n',
        b"counted [1]\n",
        b"counted [[1, 2, 3, 4]]\n",
        b"x" * 200_000,
    ],
)
def test_malformed_message_is_an_error(malformed: bytes) -> None:
    with pytest.raises(ValueError):
        WorkerMessageReader().feed(malformed)
