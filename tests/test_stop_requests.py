"""A duplicate of the first signal is not a repeated request to stop."""

from zmqio.stop_requests import REPEAT_AFTER_S, StopRequests


def test_first_signal_and_its_duplicates_are_one_request() -> None:
    requests = StopRequests()
    assert [requests.is_repeated(now) for now in (100.0, 100.0, 100.0 + REPEAT_AFTER_S / 2)] == [False] * 3


def test_later_signal_and_all_after_it_are_repeated_requests() -> None:
    requests = StopRequests()
    assert not requests.is_repeated(100.0)
    assert [requests.is_repeated(100.0 + later * REPEAT_AFTER_S) for later in (1, 1.1, 50)] == [True] * 3
