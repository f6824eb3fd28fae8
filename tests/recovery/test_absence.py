"""Since when a client may have missed packets."""

import pytest

from zmqio.recovery.absence import Absence

NOTICE_S = 80.0


def lost(now: float = 0.0) -> Absence:
    absence = Absence()
    absence.begin(now, NOTICE_S)
    return absence


def returned_at_10() -> Absence:
    """Lost at 0, and back at 10 with missed packets, after which its position is `{"a": 9}`."""
    absence = lost()
    absence.end({"a": 9}, 10.0)
    return absence


def test_an_absence_begins_with_the_loss_of_the_connection() -> None:
    assert Absence().seconds(5.0) == 0.0
    assert lost(2.0).seconds(5.0) == 3.0
    absence = lost(2.0)
    absence.begin(4.0, NOTICE_S)
    assert absence.seconds(5.0) == 3.0


def test_a_client_that_missed_nothing_is_complete() -> None:
    absence = lost()
    absence.end(None, 10.0)
    absence.begin(20.0, NOTICE_S)
    assert absence.seconds(21.0) == 1.0


def test_the_absence_lasts_until_the_client_has_what_it_missed() -> None:
    absence = returned_at_10()
    absence.begin(20.0, NOTICE_S)
    absence.claimed({"a": 8}, is_live=False)
    assert absence.seconds(21.0) == 21.0


@pytest.mark.parametrize(("offset", "is_live"), [({"a": 9}, False), ({"a": 1}, True)])
def test_an_offset_shows_that_the_client_has_what_it_missed(offset: dict[str, int], is_live: bool) -> None:
    absence = returned_at_10()
    absence.begin(20.0, NOTICE_S)
    absence.claimed(offset, is_live=is_live)
    assert absence.seconds(21.0) == 1.0


def test_a_connection_that_lasted_has_carried_what_was_missed() -> None:
    absence = returned_at_10()
    absence.begin(10.0 + NOTICE_S, NOTICE_S)
    assert absence.seconds(11.0 + NOTICE_S) == 1.0


def test_an_absence_moves_to_another_node_whose_clock_differs() -> None:
    for absence in (Absence(), lost(), returned_at_10()):
        moved = Absence.read(absence.pack(30.0), 1_030.0)
        assert moved.seconds(1_030.0) == absence.seconds(30.0)
        assert moved.backlog == absence.backlog
        assert (moved.lost_at is None, moved.returned_at is None) == (
            absence.lost_at is None,
            absence.returned_at is None,
        )
