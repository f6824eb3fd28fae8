"""Restart delays and crash loops."""

from zmqio.launcher.restarts import MAX_EXITS, MAX_FAILED_STARTS, WINDOW_S, RestartPolicy


def test_delay_doubles_with_each_exit_in_the_window() -> None:
    restarts = RestartPolicy()
    assert [restarts.record_exit(now, was_ready=True) for now in (0.0, 1.0, 2.0, 3.0)] == [0.25, 0.5, 1.0, 2.0]


def test_gives_up_after_many_exits_in_the_window() -> None:
    restarts = RestartPolicy()
    found = [restarts.record_exit(number * (WINDOW_S / MAX_EXITS), was_ready=True) for number in range(MAX_EXITS)]
    assert found[-1] is None
    assert None not in found[:-1]


def test_exits_far_apart_are_restarted_after_the_first_delay() -> None:
    restarts = RestartPolicy()
    assert {restarts.record_exit(number * WINDOW_S, was_ready=True) for number in range(50)} == {0.25}


def test_gives_up_a_worker_that_is_never_ready_however_slow_its_starts() -> None:
    restarts = RestartPolicy()
    found = [restarts.record_exit(number * 1_000.0, was_ready=False) for number in range(MAX_FAILED_STARTS)]
    assert found == [0.25] * (MAX_FAILED_STARTS - 1) + [None]


def test_becoming_ready_resets_the_count_of_failed_starts() -> None:
    restarts = RestartPolicy()
    for number in range(20):
        assert restarts.record_exit(number * 1_000.0, was_ready=number % 2 == 0) is not None
