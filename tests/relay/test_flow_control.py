"""Flow control: nothing is missing or duplicated, and at most the window and one message are in flight."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.relay.flow_control import FlowError, ReceiveWindow, SendWindow, frame_size


def test_frame_size_is_its_size_in_utf_8() -> None:
    assert [frame_size(frame) for frame in ("abc", "\u00e9", b"\x00\x01", "")] == [3, 2, 2, 0]


def test_missing_message_is_an_error_and_a_duplicate_is_not() -> None:
    receiving = ReceiveWindow(100)
    assert receiving.accept(0, [1])
    assert receiving.accept(1, [1])
    assert not receiving.accept(0, [1])
    with pytest.raises(FlowError, match="message 2 of the stream is missing"):
        receiving.accept(3, [1])


def test_one_message_may_exceed_the_window_and_no_other() -> None:
    sending, receiving = SendWindow(100), ReceiveWindow(100)
    assert sending.is_open
    sending.add(5_000)
    assert not sending.is_open
    assert receiving.accept(0, [5_000])
    with pytest.raises(FlowError, match="received more than the window of 100 bytes"):
        receiving.accept(1, [1_000, 1])


def test_credit_is_due_once_per_half_a_window() -> None:
    receiving = ReceiveWindow(100)
    receiving.accept(0, [20] * 5)
    assert [receiving.consume(20) for _ in range(5)] == [None, None, 60, None, None]
    receiving.accept(1, [20])
    assert receiving.consume(20) == 120


def test_credit_for_bytes_that_were_never_sent_is_ignored() -> None:
    sending = SendWindow(100)
    sending.add(150)
    sending.acknowledge(1_000_000)
    assert sending.is_open
    sending.add(100)
    assert not sending.is_open
    sending.acknowledge(50)  # an older credit, late
    assert not sending.is_open


def test_window_of_the_other_end_is_used() -> None:
    sending = SendWindow(100)
    sending.add(100)
    sending.resize(200)
    assert sending.is_open


@given(st.lists(st.integers(0, 300), max_size=60), st.data())
def test_two_ends_that_follow_the_protocol_neither_fail_nor_stall(sizes: list[int], data: st.DataObject) -> None:
    sending, receiving = SendWindow(100), ReceiveWindow(100)
    to_send, to_take = list(sizes), []
    while to_send or to_take:
        can_send = bool(to_send) and sending.is_open
        assert can_send or to_take, "stalled"
        if can_send and (not to_take or data.draw(st.booleans())):
            size = to_send.pop(0)
            sending.add(size)
            assert receiving.accept(sending.next_seq(), [size])
            to_take.append(size)
        else:
            total = receiving.consume(to_take.pop(0))
            if total is not None:
                sending.acknowledge(total)
        assert sum(to_take[:-1]) < 100
