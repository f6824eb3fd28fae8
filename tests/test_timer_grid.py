"""Timers meet on multiples of their step."""

from hypothesis import given
from hypothesis import strategies as st

from zmqio.timer_grid import next_on_grid

TIMES = st.floats(0, 1e9)


def test_time_on_the_grid_gives_the_next_one() -> None:
    assert next_on_grid(12.0, 0.5) == 12.5
    assert next_on_grid(12.3, 0.5) == 12.5


@given(TIMES, st.sampled_from([0.02, 0.1, 0.25, 1.0, 3.0]))
def test_result_is_after_the_time_and_at_most_one_step_later(now_s: float, step_s: float) -> None:
    assert 0 <= next_on_grid(now_s, step_s) - now_s <= step_s * 1.000_001 + 1e-6


@given(TIMES)
def test_timers_with_steps_that_divide_each_other_meet(now_s: float) -> None:
    second = next_on_grid(now_s, 1.0)
    assert next_on_grid(second - 0.25, 0.25) == second
