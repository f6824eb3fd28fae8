"""One publisher by its links: which of them is sound, and why."""

from zmqio.cluster.delivery.publisher import NEVER, PublisherState, ReplayRequestState

BOTH = 0b11


def received_by_both(n: int = 10) -> PublisherState:
    """A living publisher whose two links are sound up to a number."""
    publisher = PublisherState(received=0)
    publisher.mark_alive(0.0)
    for link in (0, 1):
        publisher.heartbeat(link, 0, 1, BOTH)
    publisher.received = n
    publisher.recheck_links(BOTH)
    assert publisher.gapless == BOTH
    return publisher


def test_first_heartbeat_of_a_silent_publisher_makes_its_link_sound() -> None:
    publisher = PublisherState(received=0)
    assert publisher.heartbeat(0, 0, 1, 0b01)
    assert publisher.gapless == 0b01


def test_heartbeat_by_a_sound_link_says_that_nothing_is_missing_up_to_its_number() -> None:
    publisher = received_by_both()
    assert not publisher.heartbeat(0, 15, 1, BOTH)
    assert (publisher.received, publisher.gapless) == (15, BOTH)


def test_new_generation_makes_its_link_unsound_until_its_number_is_heard_by_another() -> None:
    publisher = received_by_both()
    assert publisher.heartbeat(1, 12, 2, BOTH)
    assert (publisher.gapless, publisher.received, publisher.recheck_at) == (0b01, 10, 12)
    publisher.received = 12
    publisher.recheck_links(BOTH)
    assert (publisher.gapless, publisher.recheck_at) == (BOTH, NEVER)


def test_heartbeat_of_an_older_generation_says_nothing() -> None:
    publisher = received_by_both()
    publisher.heartbeat(1, 10, 3, BOTH)
    assert not publisher.heartbeat(1, 99, 2, BOTH)
    assert (publisher.gapless, publisher.received, publisher.highest_known) == (BOTH, 10, 10)


def test_message_by_an_unsound_link_is_remembered_as_the_one_to_watch_for() -> None:
    publisher = received_by_both()
    publisher.heartbeat(1, 10, 2, 0b01)  # this node itself is not ready there
    assert publisher.gapless == 0b01
    publisher.defer(1, 14)
    assert (publisher.highest_known, publisher.recheck_at) == (14, 14)


def test_link_that_is_not_ready_here_does_not_become_sound() -> None:
    publisher = received_by_both()
    publisher.gapless = 0b01
    publisher.link_connected(1)
    publisher.heartbeat(1, 10, 1, 0b01)
    assert publisher.gapless == 0b01
    publisher.recheck_links(BOTH)
    assert publisher.gapless == BOTH


def test_renewed_link_becomes_sound_only_after_it_has_brought_something() -> None:
    publisher = received_by_both()
    publisher.gapless = 0b01
    publisher.link_connected(1)
    publisher.recheck_links(BOTH)
    assert publisher.gapless == 0b01
    publisher.defer(1, 9)
    publisher.recheck_links(BOTH)
    assert publisher.gapless == BOTH


def test_link_whose_generation_was_never_told_does_not_catch_up() -> None:
    publisher = PublisherState(received=10, gapless=0b01)
    publisher.defer(1, 5)
    publisher.recheck_links(BOTH)
    assert publisher.gapless == 0b01


def test_doubt_ends_with_an_answer_that_comes_by_the_link_and_not_before() -> None:
    publisher = received_by_both()
    publisher.mark_suspect(1, 7)
    assert publisher.gapless == 0b01
    publisher.defer(1, 10)
    publisher.heartbeat(1, 10, 1, BOTH)
    publisher.recheck_links(BOTH)
    assert (publisher.gapless, publisher.recheck_at) == (0b01, NEVER)
    publisher.mark_gapless(0, 10, 7, BOTH)
    assert publisher.gapless == 0b01
    publisher.mark_gapless(1, 10, 7, BOTH)
    assert publisher.gapless == BOTH


def test_answer_to_a_question_from_before_the_doubt_does_not_end_it() -> None:
    publisher = received_by_both()
    publisher.mark_suspect(1, 7)
    publisher.mark_gapless(1, 10, 6, BOTH)
    assert publisher.gapless == 0b01


def test_answer_from_a_connection_that_is_gone_does_not_make_the_new_one_sound() -> None:
    publisher = received_by_both()
    publisher.heartbeat(1, 15, 2, BOTH)
    publisher.mark_gapless(1, 12, 7, BOTH)
    assert publisher.gapless == 0b01
    publisher.received = 15
    publisher.mark_gapless(1, 15, 8, BOTH)
    assert publisher.gapless == BOTH


def test_doubt_ends_when_the_link_is_made_anew() -> None:
    publisher = received_by_both()
    publisher.mark_suspect(1, 7)
    publisher.link_connected(1)
    publisher.defer(1, 10)
    publisher.recheck_links(BOTH)
    assert publisher.gapless == BOTH


def test_answer_by_a_link_that_is_lost_meanwhile_does_not_make_it_sound() -> None:
    publisher = received_by_both()
    publisher.gapless = 0b01
    publisher.mark_gapless(1, 10, 1, 0b01)
    assert publisher.gapless == 0b01


def test_hole_is_worth_a_question_only_if_the_publisher_lives_and_has_not_answered_for_it() -> None:
    publisher = received_by_both()
    publisher.answered_upto = 8
    assert publisher.can_replay(9)
    assert not publisher.can_replay(8)
    publisher.alive = False
    assert not publisher.can_replay(9)


def test_question_starts_again_when_the_publisher_comes_back() -> None:
    publisher = received_by_both()
    publisher.request = ReplayRequestState(3, 10, first_contact=False, due_at=50.0, sent_count=9)
    publisher.alive, publisher.gone_at = False, 40.0
    publisher.mark_alive(45.0)
    assert (publisher.alive, publisher.gone_at) == (True, None)
    assert (publisher.request.due_at, publisher.request.sent_count) == (45.0, 0)


def test_publisher_that_was_never_gone_is_not_asked_anew_by_each_heartbeat() -> None:
    publisher = received_by_both()
    publisher.request = ReplayRequestState(3, 10, first_contact=False, due_at=50.0, sent_count=9)
    publisher.mark_alive(45.0)
    assert (publisher.request.due_at, publisher.request.sent_count) == (50.0, 9)


def test_settled_question_is_remembered_by_its_id() -> None:
    publisher = received_by_both()
    publisher.close_request()
    assert publisher.last_answered_id == 0
    publisher.request = ReplayRequestState(3, 10, first_contact=False, due_at=50.0)
    publisher.close_request()
    assert (publisher.request, publisher.last_answered_id) == (None, 3)
