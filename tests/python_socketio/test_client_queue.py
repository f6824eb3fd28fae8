"""Tests of `zmqio.python_socketio.client_queue`."""

from zmqio.config import ManagerOptions
from zmqio.python_socketio.client_queue import ClientQueue

OPTIONS = ManagerOptions(session_buffer_packets=4, session_buffer_bytes=100, slow_client_grace_s=10)


def test_a_client_within_the_limits_stays() -> None:
    queue = ClientQueue(OPTIONS)
    assert all(queue.admit(queued, (25,), 0) for queued in range(4))
    assert queue.size_bytes == 100


def test_taken_packets_no_longer_count() -> None:
    queue = ClientQueue(OPTIONS)
    for now in range(100):
        assert queue.admit(1, (40,), now)
    assert queue.size_bytes == 80
    assert queue.admit(0, (60,), 200)
    assert queue.size_bytes == 60


def test_over_a_limit_for_longer_than_the_grace_period() -> None:
    for sizes in [(1,) * 5, (101,)]:
        queue = ClientQueue(OPTIONS)
        assert queue.admit(0, sizes, 0)
        assert queue.admit(len(sizes), (), 10)
        assert not queue.admit(len(sizes), (), 10.1)


def test_the_grace_period_begins_again_after_the_queue_was_short() -> None:
    queue = ClientQueue(OPTIONS)
    assert queue.admit(0, (101,), 0)
    assert queue.admit(0, (1,), 9)
    assert queue.admit(0, (101,), 11)


def test_ten_times_a_limit_at_once() -> None:
    assert not ClientQueue(OPTIONS).admit(0, (1,) * 41, 0)
    assert not ClientQueue(OPTIONS).admit(0, (1_001,), 0)
    assert not ClientQueue(OPTIONS).admit(40, (1,), 0)  # packets of others count by their number
