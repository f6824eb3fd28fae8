"""One publisher by its links: which of them is sound, and why."""

from zmqio.cluster.delivery.publisher import NOTHING_TO_WATCH, PublisherState, ReplayRequestState

BOTH = 0b11


def heard_by_both(n: int = 10) -> PublisherState:
    """A living publisher whose two links are sound up to a number."""
    stream = PublisherState(heard=0)
    stream.revive(0.0)
    for link in (0, 1):
        stream.beat(link, 0, 1, BOTH)
    stream.heard = n
    stream.catch_up(BOTH)
    assert stream.sound == BOTH
    return stream


def test_first_heartbeat_of_a_silent_publisher_makes_its_link_sound() -> None:
    stream = PublisherState(heard=0)
    assert stream.beat(0, 0, 1, 0b01)
    assert stream.sound == 0b01


def test_heartbeat_by_a_sound_link_says_that_nothing_is_missing_up_to_its_number() -> None:
    stream = heard_by_both()
    assert not stream.beat(0, 15, 1, BOTH)
    assert (stream.heard, stream.sound) == (15, BOTH)


def test_new_generation_makes_its_link_unsound_until_its_number_is_heard_by_another() -> None:
    stream = heard_by_both()
    assert stream.beat(1, 12, 2, BOTH)
    assert (stream.sound, stream.heard, stream.watch) == (0b01, 10, 12)
    stream.heard = 12
    stream.catch_up(BOTH)
    assert (stream.sound, stream.watch) == (BOTH, NOTHING_TO_WATCH)


def test_heartbeat_of_an_older_generation_says_nothing() -> None:
    stream = heard_by_both()
    stream.beat(1, 10, 3, BOTH)
    assert not stream.beat(1, 99, 2, BOTH)
    assert (stream.sound, stream.heard, stream.seen) == (BOTH, 10, 10)


def test_message_by_an_unsound_link_is_remembered_as_the_one_to_watch_for() -> None:
    stream = heard_by_both()
    stream.beat(1, 10, 2, 0b01)  # this node itself is not ready there
    assert stream.sound == 0b01
    stream.set_aside(1, 14)
    assert (stream.seen, stream.watch) == (14, 14)


def test_link_that_is_not_ready_here_does_not_become_sound() -> None:
    stream = heard_by_both()
    stream.sound = 0b01
    stream.renew(1)
    stream.beat(1, 10, 1, 0b01)
    assert stream.sound == 0b01
    stream.catch_up(BOTH)
    assert stream.sound == BOTH


def test_renewed_link_becomes_sound_only_after_it_has_brought_something() -> None:
    stream = heard_by_both()
    stream.sound = 0b01
    stream.renew(1)
    stream.catch_up(BOTH)
    assert stream.sound == 0b01
    stream.set_aside(1, 9)
    stream.catch_up(BOTH)
    assert stream.sound == BOTH


def test_link_whose_generation_was_never_told_does_not_catch_up() -> None:
    stream = PublisherState(heard=10, sound=0b01)
    stream.set_aside(1, 5)
    stream.catch_up(BOTH)
    assert stream.sound == 0b01


def test_doubt_ends_with_an_answer_that_comes_by_the_link_and_not_before() -> None:
    stream = heard_by_both()
    stream.distrust(1, 7)
    assert stream.sound == 0b01
    stream.set_aside(1, 10)
    stream.beat(1, 10, 1, BOTH)
    stream.catch_up(BOTH)
    assert (stream.sound, stream.watch) == (0b01, NOTHING_TO_WATCH)
    stream.sound_behind(0, 10, 7, BOTH)
    assert stream.sound == 0b01
    stream.sound_behind(1, 10, 7, BOTH)
    assert stream.sound == BOTH


def test_answer_to_a_question_from_before_the_doubt_does_not_end_it() -> None:
    stream = heard_by_both()
    stream.distrust(1, 7)
    stream.sound_behind(1, 10, 6, BOTH)
    assert stream.sound == 0b01


def test_answer_from_a_connection_that_is_gone_does_not_make_the_new_one_sound() -> None:
    stream = heard_by_both()
    stream.beat(1, 15, 2, BOTH)
    stream.sound_behind(1, 12, 7, BOTH)
    assert stream.sound == 0b01
    stream.heard = 15
    stream.sound_behind(1, 15, 8, BOTH)
    assert stream.sound == BOTH


def test_doubt_ends_when_the_link_is_made_anew() -> None:
    stream = heard_by_both()
    stream.distrust(1, 7)
    stream.renew(1)
    stream.set_aside(1, 10)
    stream.catch_up(BOTH)
    assert stream.sound == BOTH


def test_answer_by_a_link_that_is_lost_meanwhile_does_not_make_it_sound() -> None:
    stream = heard_by_both()
    stream.sound = 0b01
    stream.sound_behind(1, 10, 1, 0b01)
    assert stream.sound == 0b01


def test_hole_is_worth_a_question_only_if_the_publisher_lives_and_has_not_answered_for_it() -> None:
    stream = heard_by_both()
    stream.settled = 8
    assert stream.misses(9)
    assert not stream.misses(8)
    stream.lives = False
    assert not stream.misses(9)


def test_question_starts_again_when_the_publisher_comes_back() -> None:
    stream = heard_by_both()
    stream.question = ReplayRequestState(3, 10, first_meeting=False, due_at=50.0, asked=9)
    stream.lives, stream.gone_at = False, 40.0
    stream.revive(45.0)
    assert (stream.lives, stream.gone_at) == (True, None)
    assert (stream.question.due_at, stream.question.asked) == (45.0, 0)


def test_publisher_that_was_never_gone_is_not_asked_anew_by_each_heartbeat() -> None:
    stream = heard_by_both()
    stream.question = ReplayRequestState(3, 10, first_meeting=False, due_at=50.0, asked=9)
    stream.revive(45.0)
    assert (stream.question.due_at, stream.question.asked) == (50.0, 9)


def test_settled_question_is_remembered_by_its_id() -> None:
    stream = heard_by_both()
    stream.settle()
    assert stream.settled_id == 0
    stream.question = ReplayRequestState(3, 10, first_meeting=False, due_at=50.0)
    stream.settle()
    assert (stream.question, stream.settled_id) == (None, 3)
