"""The numbers of a stream: nothing missing or twice, never more under way than the window and one message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.relay.flow_control import FlowError, ReceiveWindow, SendWindow, frame_size


def test_size_is_that_on_the_wire() -> None:
    assert [frame_size(frame) for frame in ("abc", "\u00e9", b"\x00\x01", "")] == [3, 2, 2, 0]


def test_message_that_is_missing_breaks_the_stream_and_a_copy_does_not() -> None:
    inflow = ReceiveWindow(100)
    assert inflow.accept(0, [1])
    assert inflow.accept(1, [1])
    assert not inflow.accept(0, [1])
    with pytest.raises(FlowError, match="message 2 of the stream is missing"):
        inflow.accept(3, [1])


def test_one_message_may_go_over_the_window_and_no_other() -> None:
    outflow, inflow = SendWindow(100), ReceiveWindow(100)
    assert outflow.is_open
    outflow.add(5_000)
    assert not outflow.is_open
    assert inflow.accept(0, [5_000])
    with pytest.raises(FlowError, match="more than 100 bytes came unasked"):
        inflow.accept(1, [1_000, 1])


def test_credit_is_told_once_for_half_a_window() -> None:
    inflow = ReceiveWindow(100)
    inflow.accept(0, [20] * 5)
    assert [inflow.take(20) for _ in range(5)] == [None, None, 60, None, None]
    inflow.accept(1, [20])
    assert inflow.take(20) == 120


def test_credit_for_what_was_never_sent_opens_nothing() -> None:
    outflow = SendWindow(100)
    outflow.add(150)
    outflow.taken(1_000_000)
    assert outflow.is_open
    outflow.add(100)
    assert not outflow.is_open
    outflow.taken(50)  # an old one, late
    assert not outflow.is_open


def test_window_of_the_other_end_counts() -> None:
    outflow = SendWindow(100)
    outflow.add(100)
    outflow.widen(200)
    assert outflow.is_open


@given(st.lists(st.integers(0, 300), max_size=60), st.data())
def test_two_ends_that_keep_the_rules_never_break_nor_stall(sizes: list[int], data: st.DataObject) -> None:
    outflow, inflow = SendWindow(100), ReceiveWindow(100)
    to_send, to_take = list(sizes), []
    while to_send or to_take:
        can_send = bool(to_send) and outflow.is_open
        assert can_send or to_take, "stalled"
        if can_send and (not to_take or data.draw(st.booleans())):
            size = to_send.pop(0)
            outflow.add(size)
            assert inflow.accept(outflow.next_seq(), [size])
            to_take.append(size)
        else:
            total = inflow.take(to_take.pop(0))
            if total is not None:
                outflow.taken(total)
        assert sum(to_take[:-1]) < 100
