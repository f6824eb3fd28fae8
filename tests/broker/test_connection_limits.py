from zmqio_broker.connection_limits import (
    CONNECTION_OVERHEAD_BYTES,
    TOPICS_FREED_S,
    InputLimit,
    QueueLimit,
    RateLimit,
    TopicLimit,
)
from zmqio_broker.connection_samples import ConnectionSample

MB = 1_000_000


def received(size: int) -> ConnectionSample:
    return ConnectionSample(size, 0, 0)


def sent(size: int, unsent: int = 1) -> ConnectionSample:
    return ConnectionSample(0, size, unsent)


def test_message_without_an_end_closes_the_connection_that_sends_it() -> None:
    limit = InputLimit(10 * MB)
    honest = endless = processed = frames = 0
    closed = None
    while closed is None and endless < 50 * MB:
        honest, endless, processed, frames = honest + 5 * MB, endless + 2 * MB, processed + 5 * MB, frames + 1_000
        closed = limit.find({3: received(honest), 4: received(endless)}, processed, frames)
    # The honest one has sent more in all, but the endpoint was below half of its limit then.
    assert closed == 4 or endless <= 14 * MB


def test_endless_message_beside_a_little_traffic_is_found_at_the_limit() -> None:
    limit = InputLimit(10 * MB)
    for step in range(1, 5):
        assert limit.find({3: received(step * 1_000), 4: received(step * 2 * MB)}, step * 1_000, step) is None
    found = [limit.find({3: received(5_000), 4: received(step * 2 * MB)}, 5_000, 5) for step in (5, 6, 7)]
    assert 4 in found
    assert 3 not in found


def test_processed_traffic_of_any_size_closes_nobody() -> None:
    limit = InputLimit(MB)
    for step in range(1, 200):
        framed = step * 100_000 * 209  # 100,000 messages of 200 bytes, with their headers
        assert limit.find({3: received(framed)}, step * 100_000 * 200, step * 100_000) is None


def test_end_of_the_sender_frees_what_it_held() -> None:
    limit = InputLimit(MB)
    assert limit.find({3: received(2 * MB)}, 0, 0) == 3
    assert limit.find({}, 0, 0) is None
    assert limit.find({3: received(CONNECTION_OVERHEAD_BYTES)}, 0, 0) is None


def test_node_that_does_not_read_is_closed_at_the_limit() -> None:
    limit = QueueLimit(10 * MB, 20_000)
    out = [limit.find({3: sent(0), 4: sent(step * MB, 0)}, step * MB, step) for step in range(13)]
    assert [3] in out
    assert out.index([3]) == 11
    assert all(4 not in closed for closed in out)


def test_node_that_reads_as_fast_as_messages_come_is_never_closed() -> None:
    limit = QueueLimit(10 * MB, 20_000)
    for step in range(100):
        assert limit.find({3: sent(step * 5 * MB)}, step * 5 * MB, step) == []


def test_messages_that_the_queue_drops_do_not_count() -> None:
    limit = QueueLimit(10 * MB, 100)
    for step in range(100):
        assert limit.find({3: sent(0)}, step * 100 * 1_000, step * 100) == []


def test_peer_may_send_a_burst_and_its_rate_but_no_more() -> None:
    limit = RateLimit(10 * MB, MB, now=1.0)
    assert not limit.is_exceeded(9 * MB, 1.0)
    assert not any(limit.is_exceeded((8 + second) * MB, float(second)) for second in range(2, 100))
    assert limit.is_exceeded(130 * MB, 100.0)


def test_what_arrives_while_no_check_is_possible_need_not_have_come_at_once() -> None:
    limit = RateLimit(10 * MB, 2 * MB, now=0.0)
    assert not limit.is_exceeded(5 * MB, 0.0)
    assert not limit.is_exceeded(20 * MB, 5.0, late_s=4.9)  # 3 MB/s: 5 + 15 - 10 MB are left
    assert not limit.is_exceeded(20 * MB, 5.0)
    assert limit.is_exceeded(21 * MB, 5.0)
    limit = RateLimit(10 * MB, 2 * MB, now=0.0)
    assert limit.is_exceeded(20 * MB, 5.0)


def test_what_did_not_last_does_not_count() -> None:
    limit = RateLimit(10 * MB, 0, now=0.0)
    for received in range(8 * MB, 200 * MB, 8 * MB):
        assert not limit.is_exceeded(received, 1.0)
        limit.settle(MB)
        limit.settle(MB)
    assert limit.is_exceeded(211 * MB, 1.0)


def test_what_has_just_been_sent_counts_although_its_topics_are_not_known_yet() -> None:
    limit = RateLimit(10 * MB, 0, now=0.0)
    assert not limit.is_exceeded(6 * MB, 1.0)
    limit.settle(0)
    assert limit.is_exceeded(11 * MB, 1.0)


def test_too_many_topics_close_the_connection_that_sent_most_of_them() -> None:
    limit = TopicLimit(10 * MB)
    assert limit.find({3: received(20 * MB), 4: received(MB)}, 4 * MB, 1.0) is None
    assert limit.find({3: received(21 * MB), 4: received(5 * MB)}, 8 * MB, 2.0) is None
    assert limit.find({3: received(22 * MB), 4: received(9 * MB)}, 11 * MB, 3.0) == 4
    # Its topics are removed a little later.
    assert limit.find({3: received(22 * MB)}, 11 * MB, 3.5) is None
    assert limit.find({3: received(22 * MB)}, 11 * MB, 3.0 + TOPICS_FREED_S) == 3


def test_topics_of_one_connection_after_another_are_found() -> None:
    limit = TopicLimit(10 * MB)
    assert limit.find({3: received(6 * MB)}, 6 * MB, 1.0) is None
    assert limit.find({3: received(6 * MB), 4: received(5 * MB)}, 11 * MB, 2.0) == 3
    assert TopicLimit(10 * MB).find({}, 11 * MB, 1.0) is None
