"""Back-off and crash loops."""

from zmqio.launcher.restarts import MOST_ENDS, MOST_ENDS_UNREADY, WINDOW_S, Restarts


def test_delay_doubles_with_each_end_in_the_window() -> None:
    restarts = Restarts()
    assert [restarts.ended(now, was_ready=True) for now in (0.0, 1.0, 2.0, 3.0)] == [0.25, 0.5, 1.0, 2.0]


def test_many_ends_in_the_window_are_given_up() -> None:
    restarts = Restarts()
    found = [restarts.ended(number * (WINDOW_S / MOST_ENDS), was_ready=True) for number in range(MOST_ENDS)]
    assert found[-1] is None
    assert None not in found[:-1]


def test_ends_far_apart_are_never_given_up_and_start_again_at_once() -> None:
    restarts = Restarts()
    assert {restarts.ended(number * WINDOW_S, was_ready=True) for number in range(50)} == {0.25}


def test_worker_that_never_gets_ready_is_given_up_however_slow_it_is() -> None:
    restarts = Restarts()
    found = [restarts.ended(number * 1_000.0, was_ready=False) for number in range(MOST_ENDS_UNREADY)]
    assert found == [0.25] * (MOST_ENDS_UNREADY - 1) + [None]


def test_being_ready_once_starts_that_count_again() -> None:
    restarts = Restarts()
    for number in range(20):
        assert restarts.ended(number * 1_000.0, was_ready=number % 2 == 0) is not None
