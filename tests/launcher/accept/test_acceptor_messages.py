"""What supervisor and acceptors say comes out as it went in."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.ids import NodeTag
from zmqio.launcher.accept.acceptor_messages import (
    AcceptorReady,
    Add,
    Close,
    Counted,
    Lost,
    Note,
    Order,
    Remove,
    Retire,
    decode_note,
    decode_order,
    encode,
)

TAGS = st.from_regex(r"[A-Za-z0-9_-]{4}", fullmatch=True).map(NodeTag)
ORDERS: st.SearchStrategy[Order] = st.one_of(
    st.builds(Add, st.integers(1, 1000), TAGS), st.builds(Retire, TAGS), st.builds(Remove, TAGS), st.just(Close())
)
NOTES: st.SearchStrategy[Note] = st.one_of(
    st.just(AcceptorReady()),
    st.builds(Lost, TAGS),
    st.builds(Counted, st.dictionaries(st.text(), st.integers(0, 10**12), max_size=5)),
)


@given(ORDERS)
def test_orders(order: Order) -> None:
    line = encode(order)
    assert line.endswith(b"\n")
    assert decode_order(line[:-1]) == order


@given(NOTES)
def test_notes(note: Note) -> None:
    line = encode(note)
    assert line.index(b"\n") == len(line) - 1
    assert decode_note(line[:-1]) == note


def test_exact_text() -> None:
    tag = NodeTag("aB3_")
    assert b"".join(encode(order) for order in (Add(2, tag), Retire(tag), Remove(tag), Close())) == (
        b"add 2 aB3_\nretire aB3_\nremove aB3_\nclose\n"
    )
    assert b"".join(encode(note) for note in (AcceptorReady(), Lost(tag), Counted({"accepted": 3}))) == (
        b'ready\nlost aB3_\ncounted {"accepted": 3}\n'
    )


@pytest.mark.parametrize("decode", [decode_order, decode_note])
@pytest.mark.parametrize(
    "line", [b"", b"what", b"add x aB3_", b"add 1 abc", b"retire", b"lost abcde", b"counted [", b"\xff"]
)
def test_rubbish_is_an_error(decode: Callable[[bytes], object], line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)
