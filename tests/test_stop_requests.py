"""`StopRequests`: an echo of a signal is no second wish."""

from zmqio.stop_requests import SAME_STOP_S, StopRequests


def test_first_signal_and_its_echoes_are_one_wish() -> None:
    requests = StopRequests()
    assert [requests.again(now) for now in (100.0, 100.0, 100.0 + SAME_STOP_S / 2)] == [False] * 3


def test_signal_that_comes_later_insists_and_so_do_all_after_it() -> None:
    requests = StopRequests()
    assert not requests.again(100.0)
    assert [requests.again(100.0 + later * SAME_STOP_S) for later in (1, 1.1, 50)] == [True] * 3
