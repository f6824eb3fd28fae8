"""Sessions and packets survive the way to another node."""

from typing import Any

import pytest

from zmqio.cluster.session_rows import (
    SenderRow,
    pack_packet,
    pack_returning,
    read_node,
    read_packet,
    read_returning,
    sendable,
)
from zmqio.exceptions import EnvelopeError
from zmqio.ids import NodeId, Sid
from zmqio.protocol.values import unpack_list
from zmqio.recovery.missed import MissedPacket
from zmqio.recovery.session import RecoverableSession, Returning


def test_a_packet_keeps_its_age() -> None:
    packet = MissedPacket(NodeId("a"), 5, 9, 100.0, ("2[]", b"\x00"), "origin")
    assert read_packet(unpack_list(pack_packet(packet, 103.0)), 53.0) == MissedPacket(
        NodeId("a"), 5, 9, 50.0, ("2[]", b"\x00"), "origin"
    )


def test_a_session_keeps_its_age_and_what_it_claimed() -> None:
    session = RecoverableSession("pid", "/", Sid("sid"), ("r",), {"n": 1}, 90.0, {"a": 1}, 3)
    session.claimed = "offset", {"a": 2}
    read = read_returning(unpack_list(pack_returning(Returning(session, {"a": 4}), 100.0)), 50.0, 8)
    assert read.received == {"a": 4}
    moved = read.session
    assert (moved.pid, moved.namespace, moved.sid, moved.rooms) == ("pid", "/", "sid", ("r",))
    assert (moved.data, moved.connected_at, moved.start, moved.held_from) == ({"n": 1}, 40.0, {"a": 1}, 8)
    assert moved.claimed == ("offset", {"a": 2})


def test_data_that_cannot_be_sent_stays_behind() -> None:
    assert sendable({"a": 1, "b": object(), "c": b"x"}) == {"a": 1, "c": b"x"}


def test_a_node_survives() -> None:
    row = SenderRow(NodeId("a"), complete=True, log_number=3, bus_number=4)
    assert read_node(unpack_list(row.pack())) == row


@pytest.mark.parametrize(
    "row", [["a", 1, None, 0.0, [], ""], ["a", "1", None, 0.0, ["x"], ""], [1, 2, 3, 0.0, [5], ""]]
)
def test_a_malformed_packet_is_refused(row: list[Any]) -> None:
    with pytest.raises(EnvelopeError):
        read_packet(row, 0.0)
