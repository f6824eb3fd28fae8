"""Tests of `zmqio.engine.slow_sessions`: one time limit each, and one limit of bytes for all together."""

from tests.support.timing import LIMIT_S, wait_until
from zmqio.engine.slow_sessions import COUNT_AGAIN_BYTES, SlowSessions

MB = 1 << 20


class Buffer:
    """A session of which only the sizes matter."""

    def __init__(self, own_mb: int, shared_mb: int = 0) -> None:
        self.own_mb, self.shared_mb = own_mb, shared_mb
        self.counted = 0

    @property
    def buffered_bytes(self) -> int:
        return (self.own_mb + self.shared_mb) * MB

    def own_bytes(self) -> int:
        self.counted += 1
        return self.own_mb * MB


class Sessions:
    """Sessions that may have 10 MiB together, and those that were dropped."""

    def __init__(self, grace_s: float = LIMIT_S) -> None:
        self.expired: list[Buffer] = []
        self.displaced: list[Buffer] = []
        self.slow = SlowSessions(grace_s, 10 * MB, self.expired.append, self.displaced.append)

    def note(self, *buffers: Buffer) -> None:
        for buffer in buffers:
            self.slow.note(buffer)


async def test_a_session_expires_once_and_its_bytes_are_free() -> None:
    sessions = Sessions(grace_s=0.01)
    buffer = Buffer(9)
    sessions.note(buffer, buffer)
    await wait_until(lambda: sessions.expired, "the end of the time")
    assert (sessions.expired, len(sessions.slow)) == ([buffer], 0)
    sessions.note(Buffer(9))
    assert sessions.displaced == []


async def test_the_largest_is_dropped_when_all_together_have_too_much() -> None:
    sessions = Sessions()
    small, large, last = Buffer(3), Buffer(5), Buffer(3)
    sessions.note(small, large)
    assert sessions.displaced == []
    sessions.note(last)
    assert (sessions.displaced, len(sessions.slow)) == ([large], 2)


async def test_as_many_are_dropped_as_it_takes() -> None:
    sessions = Sessions()
    first, second = Buffer(4), Buffer(5)
    sessions.note(first, second)
    sessions.note(Buffer(3, shared_mb=90))
    assert sessions.displaced == [second]
    huge = Buffer(11)
    sessions.note(huge)
    assert sessions.displaced == [second, huge]


async def test_packets_that_sessions_share_do_not_count() -> None:
    sessions = Sessions()
    sessions.note(*(Buffer(0, shared_mb=9) for _ in range(100)))
    assert (sessions.displaced, len(sessions.slow)) == ([], 100)


async def test_a_session_is_counted_again_only_when_its_buffer_has_changed() -> None:
    sessions = Sessions()
    buffer = Buffer(2)
    sessions.note(buffer)
    for _ in range(1_000):
        sessions.note(buffer)
    assert buffer.counted == 1
    buffer.own_mb += COUNT_AGAIN_BYTES // MB
    sessions.note(buffer)
    assert buffer.counted == 2


async def test_own_packets_that_replace_shared_ones_are_counted() -> None:
    sessions = Sessions()
    buffer = Buffer(0, shared_mb=9)
    sessions.note(buffer)
    buffer.shared_mb = 2
    sessions.note(buffer)
    buffer.own_mb = 7
    sessions.note(buffer, Buffer(4))
    assert sessions.displaced == [buffer]


async def test_what_clients_have_taken_in_the_meantime_is_noticed_before_one_is_dropped() -> None:
    sessions = Sessions()
    drained, other = Buffer(8), Buffer(2)
    sessions.note(drained, other)
    drained.own_mb = 2
    sessions.note(Buffer(5))
    assert sessions.displaced == []


async def test_sessions_that_are_removed_do_not_count() -> None:
    sessions = Sessions()
    buffer = Buffer(9)
    sessions.note(buffer)
    sessions.slow.remove(buffer)
    sessions.slow.remove(buffer)
    sessions.note(Buffer(9))
    assert sessions.displaced == []
    sessions.slow.stop()
    assert len(sessions.slow) == 0
    sessions.note(Buffer(9))
    assert sessions.displaced == []
