"""A session knows what its client has received."""

from typing import Any

from zmqio.ids import Sid
from zmqio.recovery.session import RecoverableSession

OWN = "=me"


def session(**fields: Any) -> RecoverableSession:
    values = {"rooms": ("r",), "data": {}, "connected_at": 0.0, "start": {OWN: 5}, "held_from": 5, **fields}
    return RecoverableSession("pid", "/", Sid("sid"), **values)


def test_without_an_event_the_client_has_what_was_sent_before_it_connected() -> None:
    assert session().position(None) == {OWN: 5}


def test_an_offset_of_an_earlier_session_of_the_client_does_not_count() -> None:
    assert session().position({OWN: 2, "other": 1}) == {OWN: 5, "other": 1}


def test_the_floor_counts_for_offsets_that_are_newer_than_the_last_recovery() -> None:
    recovered = session(floor={OWN: 8, "other": 9}, floor_key=OWN, floor_from=9)
    assert recovered.position({OWN: 8, "other": 7}) == {OWN: 8, "other": 7}
    assert recovered.position({OWN: 9, "other": 7}) == {OWN: 9, "other": 9}


def test_the_size_grows_with_rooms_and_data() -> None:
    small = session().size_bytes
    assert session(rooms=("r", "x" * 100)).size_bytes >= small + 100
    assert session(data={"key": ["x" * 1_000, {"b": b"y" * 500}]}).size_bytes >= small + 1_500
