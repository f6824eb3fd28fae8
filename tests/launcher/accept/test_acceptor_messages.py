"""Messages between supervisor and acceptors: round trips, exact text, malformed lines."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.ids import NodeTag
from zmqio.launcher.accept.acceptor_messages import (
    AcceptorAlive,
    AcceptorCounters,
    AcceptorMessage,
    AcceptorReady,
    AddWorker,
    RemoveWorker,
    ResumeWorker,
    RetireWorker,
    StopAccepting,
    SupervisorMessage,
    SuspendWorker,
    WorkerLinkLost,
    decode_acceptor_message,
    decode_supervisor_message,
    encode_message,
)

TAGS = st.from_regex(r"[A-Za-z0-9_-]{4}", fullmatch=True).map(NodeTag)
SUPERVISOR_MESSAGES: st.SearchStrategy[SupervisorMessage] = st.one_of(
    st.builds(AddWorker, st.integers(1, 1000), TAGS),
    st.builds(RetireWorker, TAGS),
    st.builds(SuspendWorker, TAGS),
    st.builds(ResumeWorker, TAGS),
    st.builds(RemoveWorker, TAGS),
    st.just(StopAccepting()),
)
ACCEPTOR_MESSAGES: st.SearchStrategy[AcceptorMessage] = st.one_of(
    st.just(AcceptorReady()),
    st.just(AcceptorAlive()),
    st.builds(WorkerLinkLost, TAGS),
    st.builds(AcceptorCounters, st.dictionaries(st.text(), st.integers(0, 10**12), max_size=5)),
)


@given(SUPERVISOR_MESSAGES)
def test_supervisor_messages_round_trip(message: SupervisorMessage) -> None:
    line = encode_message(message)
    assert line.endswith(b"\n")
    assert decode_supervisor_message(line[:-1]) == message


@given(ACCEPTOR_MESSAGES)
def test_acceptor_messages_round_trip(message: AcceptorMessage) -> None:
    line = encode_message(message)
    assert line.index(b"\n") == len(line) - 1
    assert decode_acceptor_message(line[:-1]) == message


def test_exact_wire_text() -> None:
    tag = NodeTag("aB3_")
    assert b"".join(
        encode_message(message)
        for message in (
            *(AddWorker(2, tag), RetireWorker(tag), SuspendWorker(tag), ResumeWorker(tag)),
            *(RemoveWorker(tag), StopAccepting()),
        )
    ) == (b"add 2 aB3_\nretire aB3_\nsuspend aB3_\nresume aB3_\nremove aB3_\nclose\n")
    assert b"".join(
        encode_message(message)
        for message in (AcceptorReady(), AcceptorAlive(), WorkerLinkLost(tag), AcceptorCounters({"accepted": 3}))
    ) == (b'ready\nalive\nlost aB3_\ncounted {"accepted": 3}\n')


@pytest.mark.parametrize("decode", [decode_supervisor_message, decode_acceptor_message])
@pytest.mark.parametrize(
    "line", [b"", b"what", b"add x aB3_", b"add 1 abc", b"retire", b"lost abcde", b"counted [", b"\xff"]
)
def test_malformed_line_is_an_error(decode: Callable[[bytes], object], line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)
