"""The conditions under which the links of a publisher are gapless."""

from zmqio.cluster.delivery.publisher import NEVER, CheckState, PublisherState, ReplayRequestState

BOTH = 0b11


def received_by_both(n: int = 10) -> PublisherState:
    """A live publisher whose two links are gapless up to a number."""
    publisher = PublisherState(received=0)
    publisher.mark_alive(0.0)
    for link in (0, 1):
        publisher.heartbeat(link, 0, 1, BOTH)
    publisher.received = n
    publisher.recheck_links(BOTH)
    assert publisher.gapless == BOTH
    return publisher


def test_first_heartbeat_of_a_publisher_without_messages_makes_its_link_gapless() -> None:
    publisher = PublisherState(received=0)
    assert publisher.heartbeat(0, 0, 1, 0b01)
    assert publisher.gapless == 0b01


def test_heartbeat_by_a_gapless_link_confirms_everything_up_to_its_number() -> None:
    publisher = received_by_both()
    assert not publisher.heartbeat(0, 15, 1, BOTH)
    assert (publisher.received, publisher.gapless) == (15, BOTH)


def test_link_with_a_new_generation_is_gapless_once_its_number_was_received_by_another() -> None:
    publisher = received_by_both()
    assert publisher.heartbeat(1, 12, 2, BOTH)
    assert (publisher.gapless, publisher.received, publisher.recheck_at) == (0b01, 10, 12)
    publisher.received = 12
    publisher.recheck_links(BOTH)
    assert (publisher.gapless, publisher.recheck_at) == (BOTH, NEVER)


def test_heartbeat_of_an_older_generation_is_ignored() -> None:
    publisher = received_by_both()
    publisher.heartbeat(1, 10, 3, BOTH)
    assert not publisher.heartbeat(1, 99, 2, BOTH)
    assert (publisher.gapless, publisher.received, publisher.highest_known) == (BOTH, 10, 10)


def test_deferred_message_sets_the_number_at_which_links_are_rechecked() -> None:
    publisher = received_by_both()
    publisher.heartbeat(1, 10, 2, 0b01)  # this node is not connected there
    assert publisher.gapless == 0b01
    publisher.defer(1, 14)
    assert (publisher.highest_known, publisher.recheck_at) == (14, 14)


def test_link_that_this_node_is_not_connected_to_does_not_become_gapless() -> None:
    publisher = received_by_both()
    publisher.gapless = 0b01
    publisher.link_connected(1)
    publisher.heartbeat(1, 10, 1, 0b01)
    assert publisher.gapless == 0b01
    publisher.recheck_links(BOTH)
    assert publisher.gapless == BOTH


def test_reconnected_link_becomes_gapless_only_after_something_arrived_by_it() -> None:
    publisher = received_by_both()
    publisher.gapless = 0b01
    publisher.link_connected(1)
    publisher.recheck_links(BOTH)
    assert publisher.gapless == 0b01
    publisher.defer(1, 9)
    publisher.recheck_links(BOTH)
    assert publisher.gapless == BOTH


def test_link_of_unknown_generation_does_not_become_gapless() -> None:
    publisher = PublisherState(received=10, gapless=0b01)
    publisher.defer(1, 5)
    publisher.recheck_links(BOTH)
    assert publisher.gapless == 0b01


def test_suspect_link_is_cleared_only_by_an_answer_that_arrives_by_it() -> None:
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


def test_answer_to_a_request_from_before_the_suspicion_does_not_clear_the_link() -> None:
    publisher = received_by_both()
    publisher.mark_suspect(1, 7)
    publisher.mark_gapless(1, 10, 6, BOTH)
    assert publisher.gapless == 0b01


def test_answer_from_an_earlier_connection_does_not_make_the_new_one_gapless() -> None:
    publisher = received_by_both()
    publisher.heartbeat(1, 15, 2, BOTH)
    publisher.mark_gapless(1, 12, 7, BOTH)
    assert publisher.gapless == 0b01
    publisher.received = 15
    publisher.mark_gapless(1, 15, 8, BOTH)
    assert publisher.gapless == BOTH


def test_reconnecting_clears_a_suspect_link() -> None:
    publisher = received_by_both()
    publisher.mark_suspect(1, 7)
    publisher.link_connected(1)
    publisher.defer(1, 10)
    publisher.recheck_links(BOTH)
    assert publisher.gapless == BOTH


def test_answer_by_a_link_that_was_lost_does_not_make_it_gapless() -> None:
    publisher = received_by_both()
    publisher.gapless = 0b01
    publisher.mark_gapless(1, 10, 1, 0b01)
    assert publisher.gapless == 0b01


def test_gap_can_be_replayed_only_by_a_live_publisher_that_has_not_answered_for_it() -> None:
    publisher = received_by_both()
    publisher.answered_upto = 8
    assert publisher.can_replay(9)
    assert not publisher.can_replay(8)
    publisher.alive = False
    assert not publisher.can_replay(9)


def test_request_restarts_when_the_publisher_returns() -> None:
    publisher = received_by_both()
    publisher.request = ReplayRequestState(3, 10, first_contact=False, due_at=50.0, sent_count=9)
    publisher.alive, publisher.gone_at = False, 40.0
    publisher.mark_alive(45.0)
    assert (publisher.alive, publisher.gone_at) == (True, None)
    assert (publisher.request.due_at, publisher.request.sent_count) == (45.0, 0)


def test_heartbeats_of_a_publisher_that_never_left_do_not_restart_its_request() -> None:
    publisher = received_by_both()
    publisher.request = ReplayRequestState(3, 10, first_contact=False, due_at=50.0, sent_count=9)
    publisher.mark_alive(45.0)
    assert (publisher.request.due_at, publisher.request.sent_count) == (50.0, 9)


def test_id_of_the_last_closed_request_is_kept() -> None:
    publisher = received_by_both()
    publisher.close_request()
    assert publisher.last_answered_id == 0
    publisher.request = ReplayRequestState(3, 10, first_contact=False, due_at=50.0)
    publisher.close_request()
    assert (publisher.request, publisher.last_answered_id) == (None, 3)


def test_newer_answer_makes_a_link_gapless_only_once_its_messages_were_received() -> None:
    """The second answer to one request may be newer than the first, whose link brings what lies between."""
    publisher = received_by_both()
    publisher.mark_suspect(1, 1)
    publisher.mark_gapless(1, 13, 1, BOTH)
    assert (publisher.gapless, publisher.recheck_at) == (0b01, 13)
    publisher.received = 13
    publisher.recheck_links(BOTH)
    assert publisher.gapless == BOTH


def test_request_is_sent_by_a_suspect_link_first_and_never_by_a_lost_one() -> None:
    publisher = received_by_both()
    assert publisher.link_to_ask_by(BOTH) == 0
    publisher.mark_suspect(1, 1)
    assert (publisher.link_to_ask_by(BOTH), publisher.link_to_ask_by(0b01)) == (1, 0)
    assert PublisherState(received=0).link_to_ask_by(BOTH) is None


def test_an_answer_raises_the_numbers_and_never_lowers_them() -> None:
    publisher = PublisherState(received=5, check=CheckState(after=7, due_at=0.0))
    publisher.answered(6)
    assert publisher.check is not None
    assert (publisher.received, publisher.answered_upto, publisher.check.after) == (6, 6, 7)
    publisher.answered(4)
    assert (publisher.received, publisher.answered_upto, publisher.check.after) == (6, 6, 7)
    publisher.answered(9)
    assert (publisher.received, publisher.answered_upto, publisher.check.after) == (9, 9, 9)
