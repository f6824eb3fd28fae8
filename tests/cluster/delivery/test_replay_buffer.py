"""The replay buffer keeps recent messages, and accounts for those it has dropped."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.cluster.delivery.replay_buffer import MESSAGE_OVERHEAD_BYTES, ReplayBuffer, ReplayPage, ReplayPageLimits
from zmqio.protocol.messages import TopicRow

T, U = b"t", b"u"
OF_ONE = len(T) + 9 + MESSAGE_OVERHEAD_BYTES
"""Size of a message with a body of 9 bytes."""
WIDE = ReplayPageLimits(messages=1_000, size_bytes=1 << 20, scanned=1_000)


def filled(
    buffer: ReplayBuffer, count: int, topic: bytes = T, *, sent: bool = True, at: float | None = None
) -> ReplayBuffer:
    """Add messages of 9 bytes, one per second; the first one has number 1 and was sent at second 1."""
    for n in range(next_number(buffer), next_number(buffer) + count):
        add(buffer, n, topic, b"%09d" % n, float(n) if at is None else at, sent=sent)
    return buffer


def add(buffer: ReplayBuffer, n: int, topic: bytes, body: bytes, at: float, *, sent: bool = True) -> None:
    """Add a message that a broker accepts, or does not."""
    buffer.add(n, topic, body, at)
    if sent:
        buffer.mark_sent()
    else:
        buffer.hold_newest()
    buffer.trim()


def next_number(buffer: ReplayBuffer) -> int:
    """The number of the next message."""
    return buffer.page(0, lambda topic: False, max_age_s=0.0, now=1e9).upto + 1


def all_of(
    buffer: ReplayBuffer, after: int = 0, limits: ReplayPageLimits = WIDE, now: float = 100.0
) -> ReplayPage:
    return buffer.page(after, lambda topic: True, max_age_s=1e6, now=now, limits=limits)


def numbers(page: ReplayPage) -> list[int]:
    return [int(row.body) for row in page.messages]


def lost(page: ReplayPage) -> dict[bytes, tuple[int, ...]]:
    return {row.topic: row.numbers for row in page.lost}


# Kept messages.


def test_oldest_message_is_dropped_over_the_size_limit() -> None:
    buffer = filled(ReplayBuffer(3 * OF_ONE, 1e6), 5)
    assert (len(buffer), buffer.size_bytes) == (3, 3 * OF_ONE)
    assert numbers(all_of(buffer)) == [3, 4, 5]


def test_message_larger_than_the_buffer_is_not_kept_and_counts_as_lost() -> None:
    buffer = filled(ReplayBuffer(OF_ONE - 1, 1e6), 1)
    assert (len(buffer), buffer.size_bytes) == (0, 0)
    assert lost(all_of(buffer)) == {T: (1,)}


def test_old_messages_are_dropped_by_the_next_message_and_by_expire() -> None:
    buffer = ReplayBuffer(1 << 20, 10.0)
    add(buffer, 1, T, b"1", 100.0)
    add(buffer, 2, T, b"2", 110.0)
    assert numbers(all_of(buffer)) == [1, 2]  # ten seconds are not too old yet
    add(buffer, 3, T, b"3", 110.5)
    assert numbers(all_of(buffer)) == [2, 3]
    buffer.expire(120.25)
    assert numbers(all_of(buffer)) == [3]
    buffer.expire(200.0)
    assert (len(buffer), buffer.size_bytes) == (0, 0)


def test_number_that_is_not_the_next_is_rejected() -> None:
    buffer = filled(ReplayBuffer(1 << 20, 1e6), 2)
    for n in (1, 2, 4):
        with pytest.raises(ValueError, match=f"message {n} cannot be added: the next number is 3"):
            buffer.add(n, T, b"", 3.0)
    assert numbers(all_of(buffer)) == [1, 2]


# Messages that no broker has accepted.


def test_sent_messages_make_room_and_unsent_ones_do_not() -> None:
    buffer = filled(ReplayBuffer(3 * OF_ONE, 1e6), 3)
    for waiting in range(3):
        assert buffer.unsent == waiting
        assert buffer.has_room(1 + 9)
        filled(buffer, 1, sent=False)
    assert buffer.unsent == 3
    assert not buffer.has_room(1 + 9)
    assert buffer.dropped_unsent == 0


def test_message_larger_than_the_buffer_has_no_room_even_when_it_is_empty() -> None:
    assert ReplayBuffer(OF_ONE, 1e6).has_room(1 + 9)
    assert not ReplayBuffer(OF_ONE, 1e6).has_room(1 + 10)


def test_unsent_messages_that_expire_are_counted() -> None:
    buffer = filled(ReplayBuffer(1 << 20, 10.0), 2)
    filled(buffer, 3, sent=False)
    buffer.expire(14.5)  # numbers 1 to 4 expire; 3 and 4 were unsent
    assert (buffer.dropped_unsent, buffer.unsent) == (2, 1)


def test_held_messages_are_not_replaced_by_one_that_a_broker_accepts() -> None:
    """Other nodes learn of them only now: they request them from now on."""
    buffer = filled(filled(ReplayBuffer(4 * OF_ONE, 1e6), 1), 2, sent=False)
    filled(buffer, 1)
    assert (buffer.unsent, buffer.held, buffer.is_holding) == (0, 2, True)
    assert buffer.has_room(1 + 9)  # in place of number 1
    filled(buffer, 1)
    assert numbers(all_of(buffer)) == [2, 3, 4, 5]
    assert not buffer.has_room(1 + 9)
    buffer.release(2)
    assert (buffer.held, buffer.has_room(1 + 9)) == (1, True)
    filled(buffer, 1)
    assert numbers(all_of(buffer)) == [3, 4, 5, 6]
    assert not buffer.has_room(1 + 9)
    assert lost(all_of(buffer)) == {T: (1, 2)}


@pytest.mark.parametrize("upto", [3, 4, 100])
def test_released_messages_are_replaced_and_do_not_count_as_unsent(upto: int) -> None:
    buffer = filled(ReplayBuffer(3 * OF_ONE, 10.0), 3, sent=False)
    buffer.release(upto)
    assert (buffer.unsent, buffer.held, buffer.is_holding, buffer.has_room(1 + 9)) == (0, 0, False, True)
    filled(buffer, 1, sent=False)
    assert (buffer.unsent, buffer.held, numbers(all_of(buffer))) == (1, 1, [2, 3, 4])
    buffer.expire(1e6)
    assert (buffer.dropped_unsent, buffer.unsent, buffer.held) == (1, 0, 0)


def test_held_messages_that_expire_leave_room() -> None:
    buffer = filled(filled(ReplayBuffer(3 * OF_ONE, 10.0), 2, sent=False), 1)
    buffer.expire(12.5)  # numbers 1 and 2
    assert (buffer.dropped_unsent, buffer.held, buffer.is_holding) == (2, 0, False)
    assert numbers(all_of(buffer)) == [3]


def test_newest_message_can_be_removed_again() -> None:
    buffer = filled(ReplayBuffer(3 * OF_ONE, 10.0), 2)
    buffer.add(3, T, b"x" * 9, 3.0)
    assert buffer.newest == 3
    buffer.remove_newest()
    assert (buffer.newest, buffer.size_bytes, buffer.held) == (2, 2 * OF_ONE, 0)
    filled(buffer, 1)
    assert numbers(all_of(buffer)) == [1, 2, 3]


# Pages.


def test_page_contains_requested_topics_after_a_number_with_ages() -> None:
    buffer = filled(filled(ReplayBuffer(1 << 20, 1e6), 2), 2, U)
    page = buffer.page(1, lambda topic: topic == U, max_age_s=1e6, now=10.0)
    assert [(row.topic, row.body, row.age_s) for row in page.messages] == [
        (U, b"000000003", 7.0),
        (U, b"000000004", 6.0),
    ]
    assert (page.upto, page.complete, page.forgotten, page.lost) == (4, True, 0, ())


def test_page_after_the_newest_message_is_empty_and_complete() -> None:
    buffer = filled(ReplayBuffer(1 << 20, 1e6), 2)
    for after in (2, 3, 1 << 62):
        page = all_of(buffer, after)
        assert (page.upto, page.complete, page.messages, page.lost, page.forgotten) == (2, True, (), (), 0)
    assert all_of(ReplayBuffer(1 << 20, 1e6)) == ReplayPage(0, True, 0, (), ())


def test_messages_over_the_requested_age_are_neither_sent_nor_lost() -> None:
    buffer = filled(ReplayBuffer(3 * OF_ONE, 1e6), 5)
    page = buffer.page(0, lambda topic: True, max_age_s=95.0, now=100.0)
    assert numbers(page) == [5]
    assert (page.lost, page.forgotten) == ((), 0)
    page = buffer.page(0, lambda topic: True, max_age_s=98.0, now=100.0)
    assert (numbers(page), lost(page)) == ([3, 4, 5], {T: (2,)})


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (ReplayPageLimits(messages=2, size_bytes=1 << 20, scanned=100), 2),
        (ReplayPageLimits(messages=100, size_bytes=3 * 10, scanned=100), 3),
        (ReplayPageLimits(messages=100, size_bytes=3 * 10 - 1, scanned=100), 2),
        (ReplayPageLimits(messages=100, size_bytes=1 << 20, scanned=4), 4),
    ],
)
def test_page_ends_at_the_first_limit_and_names_its_last_number(limits: ReplayPageLimits, expected: int) -> None:
    page = all_of(filled(ReplayBuffer(1 << 20, 1e6), 5), limits=limits)
    assert numbers(page) == list(range(1, expected + 1))
    assert (page.upto, page.complete) == (expected, False)


def test_page_without_a_requested_message_still_advances() -> None:
    buffer = filled(ReplayBuffer(1 << 20, 1e6), 5)
    page = buffer.page(0, lambda topic: False, max_age_s=1e6, now=9.0, limits=ReplayPageLimits(scanned=4))
    assert (page.messages, page.upto, page.complete) == ((), 4, False)


def test_first_message_over_the_size_limit_is_sent_alone() -> None:
    buffer = filled(ReplayBuffer(1 << 20, 1e6), 3)
    page = all_of(buffer, limits=ReplayPageLimits(size_bytes=1))
    assert (numbers(page), page.upto, page.complete) == ([1], 1, False)


def test_first_message_over_the_size_limit_is_not_sent_together_with_losses() -> None:
    buffer = filled(ReplayBuffer(2 * OF_ONE, 1e6), 3)
    page = all_of(buffer, limits=ReplayPageLimits(size_bytes=1))
    assert (numbers(page), lost(page), page.upto, page.complete) == ([], {T: (1,)}, 1, False)
    assert numbers(all_of(buffer, page.upto, limits=ReplayPageLimits(size_bytes=1))) == [2]


# Dropped messages.


def test_lost_messages_are_listed_by_topic_with_the_age_of_the_newest() -> None:
    buffer = filled(filled(filled(ReplayBuffer(2 * OF_ONE, 1e6), 2), 2, U), 2)
    page = all_of(buffer, 1, now=10.0)
    assert {row.topic: (row.numbers, row.newest_age_s) for row in page.lost} == {T: ((2,), 8.0), U: ((3, 4), 6.0)}
    assert (numbers(page), page.forgotten) == ([5, 6], 0)


def test_lost_messages_of_other_topics_are_not_listed() -> None:
    buffer = filled(filled(ReplayBuffer(OF_ONE, 1e6), 2), 2, U)
    assert lost(buffer.page(0, lambda topic: topic == U, max_age_s=1e6, now=9.0)) == {U: (3,)}


def test_losses_beyond_the_remembered_topics_are_only_counted() -> None:
    buffer = filled(ReplayBuffer(OF_ONE, 1e6, dropped_kept=3), 10)
    assert (lost(all_of(buffer)), all_of(buffer).forgotten) == ({T: (7, 8, 9)}, 6)
    assert all_of(buffer, 4).forgotten == 2
    assert all_of(buffer, 6).forgotten == 0
    assert lost(all_of(buffer, 8)) == {T: (9,)}


def test_losses_that_do_not_fit_in_an_answer_are_reported_as_forgotten() -> None:
    buffer = filled(ReplayBuffer(OF_ONE, 1e6), 10)
    of_three = len(T) + 24 + 3 * 9
    page = all_of(buffer, 1, limits=ReplayPageLimits(lost_bytes=of_three))
    assert (lost(page), page.forgotten) == ({T: (7, 8, 9)}, 5)
    page = all_of(buffer, 6, limits=ReplayPageLimits(lost_bytes=of_three))
    assert (lost(page), page.forgotten) == ({T: (7, 8, 9)}, 0)


@given(
    topics=st.lists(st.sampled_from([b"a", b"b", b"cc"]), max_size=60),
    kept=st.integers(0, 30),
    dropped=st.integers(0, 30),
    after=st.integers(0, 70),
    wanted=st.sets(st.sampled_from([b"a", b"b", b"cc"])),
    limits=st.builds(
        ReplayPageLimits,
        messages=st.integers(1, 5),
        size_bytes=st.integers(1, 60),
        lost_bytes=st.integers(0, 300),
        scanned=st.integers(1, 10),
    ),
)
def test_pages_send_list_or_count_each_requested_message_once(
    topics: list[bytes], kept: int, dropped: int, after: int, wanted: set[bytes], limits: ReplayPageLimits
) -> None:
    buffer = ReplayBuffer(kept * 210, 1e6, dropped_kept=dropped)
    for n, topic in enumerate(topics, 1):
        add(buffer, n, topic, b"%d" % n, float(n))
    found: list[int] = []
    named: list[int] = []
    forgotten = 0
    position, complete = after, False
    while not complete:
        page = buffer.page(position, wanted.__contains__, max_age_s=1e6, now=1e3, limits=limits)
        assert page.upto > position or page.complete
        assert all(topics[int(row.body) - 1] == row.topic for row in page.messages)
        assert all(topics[n - 1] == row.topic for row in page.lost for n in row.numbers)
        found += numbers(page)
        named += [n for row in page.lost for n in row.numbers]
        forgotten += page.forgotten
        position, complete = page.upto, page.complete
    due = [n for n, topic in enumerate(topics, 1) if n > after and topic in wanted]
    assert found == sorted(found)
    assert Counter(found + named) == Counter(due[len(due) - len(found + named) :])
    assert position == len(topics)
    if not forgotten:
        assert sorted(found + named) == due
    else:
        oldest_known = min(found + named, default=len(topics) + 1)
        assert after + forgotten < oldest_known
        assert all(n <= after + forgotten for n in due[: len(due) - len(found + named)])


# Refused messages.


def refuse(buffer: ReplayBuffer, topic: bytes) -> None:
    n = next_number(buffer)
    buffer.add(n, topic, b"x" * 100, float(n))
    assert buffer.refuse_newest()
    buffer.hold_newest()
    buffer.trim()


def test_refused_messages_take_no_room_and_are_reported_as_lost() -> None:
    buffer = filled(ReplayBuffer(3 * OF_ONE, 1e6), 3, sent=False)
    for topic in (T, U, T):
        refuse(buffer, topic)
    assert (len(buffer), buffer.size_bytes, buffer.newest) == (6, 3 * OF_ONE, 6)
    page = all_of(buffer)
    assert (numbers(page), lost(page), page.upto, page.complete) == ([1, 2, 3], {T: (4, 6), U: (5,)}, 6, True)
    assert lost(all_of(buffer, after=4)) == {U: (5,), T: (6,)}
    assert [row.n for row in newest_of(buffer).newest] == [6, 5]


def test_refused_message_between_kept_ones_expires_with_age_and_stays_reported() -> None:
    buffer = filled(ReplayBuffer(10 * OF_ONE, 5.0), 1)
    refuse(buffer, T)
    filled(buffer, 2)
    assert (numbers(all_of(buffer, now=4.0)), lost(all_of(buffer, now=4.0))) == ([1, 3, 4], {T: (2,)})
    buffer.expire(8.5)
    assert (numbers(all_of(buffer)), lost(all_of(buffer)), buffer.dropped_unsent) == ([4], {T: (1, 2, 3)}, 0)


def test_refused_messages_beyond_the_size_of_a_page_are_on_the_next_one() -> None:
    buffer = ReplayBuffer(10 * OF_ONE, 1e6)
    for _ in range(10):
        refuse(buffer, T)
    found: list[int] = []
    page = all_of(buffer, limits=(limits := ReplayPageLimits(lost_bytes=60)))
    while not page.complete:
        found += lost(page)[T]
        page = all_of(buffer, after=page.upto, limits=limits)
    assert [*found, *lost(page)[T]] == list(range(1, 11))


def test_number_of_refused_messages_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.cluster.delivery.replay_buffer.MAX_REFUSED", 2)
    buffer = ReplayBuffer(10 * OF_ONE, 1e6)
    refuse(buffer, T)
    refuse(buffer, T)
    buffer.add(3, T, b"", 3.0)
    assert not buffer.refuse_newest()
    buffer.remove_newest()
    buffer.expire(1e9)
    refuse(buffer, T)


# Messages of the relay.


def test_messages_of_the_relay_take_a_share_of_the_buffer_and_replace_no_others() -> None:
    buffer = filled(ReplayBuffer(100_000, 1e6), 5)
    for n in range(6, 106):
        add(buffer, n, U, b"%01000d" % n, float(n))
        buffer.mark_relayed()
    page = all_of(buffer)
    assert [row.topic for row in page.messages[:5]] == [T] * 5
    kept = 25_000 // (len(U) + 1_000 + MESSAGE_OVERHEAD_BYTES)
    assert numbers(page)[5:] == list(range(106 - kept, 106))
    assert lost(page) == {U: tuple(range(6, 106 - kept))}
    assert buffer.size_bytes < 5 * OF_ONE + 25_000 + 100 * (MESSAGE_OVERHEAD_BYTES + len(U))
    buffer.expire(1e9)
    assert (len(buffer), buffer.size_bytes) == (0, 0)


def test_relayed_messages_that_the_buffer_has_dropped_are_forgotten() -> None:
    buffer = ReplayBuffer(3 * OF_ONE, 10.0)
    for n in range(1, 20):
        add(buffer, n, U, b"", 100.0 * n)
        buffer.mark_relayed()
    assert (len(all_of(buffer).messages), buffer.size_bytes) == (1, len(U) + MESSAGE_OVERHEAD_BYTES)


# The newest message of each topic.


def newest_of(
    buffer: ReplayBuffer, after: int = 0, limits: ReplayPageLimits = WIDE, max_age_s: float = 1e6
) -> ReplayPage:
    return buffer.newest_page(after, lambda topic: topic != b"x", max_age_s=max_age_s, now=100.0, limits=limits)


def test_newest_page_has_the_newest_message_of_each_requested_topic() -> None:
    buffer = filled(ReplayBuffer(1 << 20, 1e6), 3)
    filled(filled(filled(buffer, 1, U), 1, T), 1, b"x")
    page = newest_of(buffer)
    assert (page.newest, page.upto, page.complete, page.messages) == (
        (TopicRow(T, 5, 95.0), TopicRow(U, 4, 96.0)),
        6,
        True,
        (),
    )
    assert newest_of(buffer, after=4).newest == (TopicRow(T, 5, 95.0),)
    assert newest_of(buffer, max_age_s=95.5).newest == (TopicRow(T, 5, 95.0),)
    assert newest_of(buffer, after=99) == ReplayPage(6, True, 0, (), (), 0, ())


def test_newest_page_counts_what_is_no_longer_kept() -> None:
    buffer = filled(ReplayBuffer(3 * OF_ONE, 1e6), 5)
    assert (newest_of(buffer).forgotten, newest_of(buffer, after=2).forgotten) == (2, 0)


def test_newest_page_stops_at_its_limits_and_the_next_one_continues() -> None:
    buffer = filled(filled(ReplayBuffer(1 << 20, 1e6), 4), 4, U)
    small = newest_of(buffer, limits=ReplayPageLimits(size_bytes=30))
    assert (small.newest, small.upto, small.complete) == ((TopicRow(T, 4, 96.0),), 4, False)
    assert newest_of(buffer, after=4).newest == (TopicRow(U, 8, 92.0),)
    few = newest_of(buffer, limits=ReplayPageLimits(scanned=3))
    assert (few.newest, few.upto, few.complete) == ((TopicRow(T, 3, 97.0),), 3, False)
