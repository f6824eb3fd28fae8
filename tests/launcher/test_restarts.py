"""Back-off and crash loops."""

from zmqio.launcher.restarts import MAX_EXITS, MAX_FAILED_STARTS, WINDOW_S, RestartPolicy


def test_delay_doubles_with_each_end_in_the_window() -> None:
    restarts = RestartPolicy()
    assert [restarts.record_exit(now, was_ready=True) for now in (0.0, 1.0, 2.0, 3.0)] == [0.25, 0.5, 1.0, 2.0]


def test_many_ends_in_the_window_are_given_up() -> None:
    restarts = RestartPolicy()
    found = [restarts.record_exit(number * (WINDOW_S / MAX_EXITS), was_ready=True) for number in range(MAX_EXITS)]
    assert found[-1] is None
    assert None not in found[:-1]


def test_ends_far_apart_are_never_given_up_and_start_again_at_once() -> None:
    restarts = RestartPolicy()
    assert {restarts.record_exit(number * WINDOW_S, was_ready=True) for number in range(50)} == {0.25}


def test_worker_that_never_gets_ready_is_given_up_however_slow_it_is() -> None:
    restarts = RestartPolicy()
    found = [restarts.record_exit(number * 1_000.0, was_ready=False) for number in range(MAX_FAILED_STARTS)]
    assert found == [0.25] * (MAX_FAILED_STARTS - 1) + [None]


def test_being_ready_once_starts_that_count_again() -> None:
    restarts = RestartPolicy()
    for number in range(20):
        assert restarts.record_exit(number * 1_000.0, was_ready=number % 2 == 0) is not None
