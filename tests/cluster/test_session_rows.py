"""Claims and sessions survive the way to another node."""

from typing import Any

import pytest

from zmqio.cluster.session_rows import (
    FOUND,
    ClaimRow,
    pack_claim,
    pack_returning,
    read_claims,
    read_returning,
    sendable,
)
from zmqio.exceptions import EnvelopeError
from zmqio.ids import Sid
from zmqio.protocol.values import pack_values, unpack_list
from zmqio.recovery.absence import Absence
from zmqio.recovery.session import RecoverableSession, Returning


def test_a_session_keeps_its_age_and_what_it_claimed() -> None:
    session = RecoverableSession("pid", "/", Sid("sid"), ("r",), {"n": 1}, 90.0, {"a": 1}, 3)
    session.absence = Absence(93.0, 95.0)
    session.claimed = "offset", {"a": 2}
    index, *row = unpack_list(pack_returning(7, Returning(session, {"a": 4}), 100.0))
    assert (index, row[0]) == (7, FOUND)
    read = read_returning(row, 50.0, 8)
    assert read.received == {"a": 4}
    moved = read.session
    assert (moved.pid, moved.namespace, moved.sid, moved.rooms) == ("pid", "/", "sid", ("r",))
    assert (moved.data, moved.connected_at, moved.start, moved.held_from) == ({"n": 1}, 40.0, {"a": 1}, 8)
    assert moved.absence == Absence(43.0, 45.0)
    assert moved.claimed == ("offset", {"a": 2})


def test_data_that_cannot_be_sent_stays_behind() -> None:
    assert sendable({"a": 1, "b": object(), "c": b"x"}) == {"a": 1, "c": b"x"}


def test_a_claim_survives() -> None:
    claims = [ClaimRow("/", "pid", "offset"), ClaimRow("/chat", "pid", None)]
    packed = pack_values([unpack_list(pack_claim(claim)) for claim in claims])
    assert read_claims(packed) == claims
    assert "pid" not in repr(claims)


@pytest.mark.parametrize("row", [1, [], ["/", 1, None], ["/", "pid", 1], ["/", "pid"]])
def test_a_malformed_claim_is_refused(row: Any) -> None:
    with pytest.raises(EnvelopeError):
        read_claims(pack_values([row]))


def test_a_malformed_session_is_refused() -> None:
    with pytest.raises(EnvelopeError):
        read_returning([FOUND, "pid"], 0.0, 0)
