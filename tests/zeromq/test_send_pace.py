"""Tests of `zmqio.zeromq.send_pace`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmqio_broker.connection_limits import RateLimit
from zmqio_broker.subscription_guard import LIMITS_PER_S

from zmqio.zeromq.send_pace import SendPace

LIMIT = 90_000


def send(pace: SendPace, now_s: float, most: int = 1 << 30, size: int = 30) -> int:
    """Send commands of `size` bytes, as many as may be sent but at most `most` bytes; return the bytes."""
    sent, may_send = 0, pace.may_send(now_s)
    while may_send and sent < most:
        sent += size
        may_send = pace.sent(size)
    return sent


def test_a_third_of_the_limit_is_sent_at_once_and_one_and_a_half_limits_in_each_second() -> None:
    pace = SendPace(5.0, LIMIT)
    assert send(pace, 5.0) == LIMIT / 3
    assert send(pace, 5.0) == 0
    assert send(pace, 5.1) == pytest.approx(0.15 * LIMIT, abs=60)
    assert sum(send(pace, 5.1 + step / 50) for step in range(1, 51)) == pytest.approx(1.5 * LIMIT, abs=60)
    assert send(pace, 1_000.0) == LIMIT / 3


def test_new_connection_begins_with_a_third_again() -> None:
    pace = SendPace(5.0, LIMIT)
    send(pace, 5.0)
    pace.restart(5.0)
    assert send(pace, 5.0) == LIMIT / 3


def test_other_limit_counts_what_was_sent_already() -> None:
    pace = SendPace(5.0, LIMIT)
    send(pace, 5.0)
    pace.set_limit(2 * LIMIT)
    assert send(pace, 5.0) == LIMIT / 3
    pace.set_limit(LIMIT)
    assert send(pace, 5.2) == 0
    assert send(pace, 5.3) == pytest.approx(LIMIT * (0.45 - 1 / 3), abs=60)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 120_000), st.floats(0, 3)), max_size=50))
def test_broker_accepts_what_is_sent_at_this_pace_even_if_its_checks_are_late(
    steps: list[tuple[float, int, float]],
) -> None:
    """Each step: a pause, the bytes that the node has to send, and the time in which the broker gets nothing."""
    pace, limit = SendPace(0.0, LIMIT), RateLimit(LIMIT, LIMITS_PER_S * LIMIT, 0.0)
    now, received = 0.0, 0
    for pause_s, most, late_s in steps:
        now += pause_s
        received += send(pace, now, most)
        assert not limit.is_exceeded(received, now)
        ends_at = now + late_s
        while now < ends_at:
            now += 0.02
            received += send(pace, now, most)
        assert not limit.is_exceeded(received, now, late_s)
