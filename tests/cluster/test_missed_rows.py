"""Requests for missed packets, and packets, survive the way to another node."""

from typing import Any

import pytest

from zmqio.cluster.missed_rows import (
    ClientRow,
    PacketReferences,
    SenderRow,
    group_by_node,
    pack_client,
    pack_departed,
    pack_packet,
    read_clients,
    read_departed,
    read_packet,
    read_row,
)
from zmqio.exceptions import EnvelopeError
from zmqio.ids import NodeId, Sid
from zmqio.protocol.values import pack_values, unpack_list
from zmqio.recovery.absence import Absence
from zmqio.recovery.departed import DepartedNode
from zmqio.recovery.missed import MissedPacket
from zmqio.recovery.session import RecoverableSession, Returning

A, B = NodeId("a"), NodeId("b")


def test_a_packet_keeps_its_age() -> None:
    packet = MissedPacket(A, 5, 9, 100.0, ("2[]", b"\x00"), "origin")
    moved = MissedPacket(A, 5, 9, 50.0, ("2[]", b"\x00"), "origin")
    assert read_packet(unpack_list(pack_packet(packet, 103.0)), 53.0) == moved


def test_a_client_keeps_its_age() -> None:
    session = RecoverableSession("pid", "/", Sid("sid"), ("r",), {}, 90.0, {}, 3, absence=Absence(since=93.0))
    packed = pack_client(Returning(session, {"a": 4}), 100.0)
    (client,) = read_clients(pack_values([unpack_list(packed)]))
    assert client == ClientRow("/", "pid", ("r",), {"a": 4}, 10.0, 7.0)
    assert "pid=" not in repr(client)


@pytest.mark.parametrize("row", [SenderRow(A, True, 3, 4), PacketReferences(A, [1])])
def test_a_row_about_a_client_begins_with_its_index(row: SenderRow | PacketReferences) -> None:
    index, *rest = unpack_list(row.pack(7))
    assert (index, read_row(rest)) == (7, row)


def test_packets_are_named_by_node_and_number() -> None:
    packets = [MissedPacket(node, number, None, 0.0, ("2[]",)) for node, number in ((A, 1), (B, 7), (A, 2))]
    assert group_by_node(packets) == [PacketReferences(A, [1, 2]), PacketReferences(B, [7])]


@pytest.mark.parametrize(
    "row",
    [["a", 1, None, 0.0, [], ""], ["a", "1", None, 0.0, ["x"], ""], [1, 2, 3, 0.0, [5], ""], ["a", 1, None, 0.0]],
)
def test_a_malformed_packet_is_refused(row: list[Any]) -> None:
    with pytest.raises(EnvelopeError):
        read_packet(row, 0.0)


@pytest.mark.parametrize("row", [[], ["a"], ["a", 1], ["a", ["1"]], ["a", True, "3", 4], ["a", True, 3, 4, 5]])
def test_a_malformed_row_about_a_client_is_refused(row: list[Any]) -> None:
    with pytest.raises(EnvelopeError):
        read_row(row)


@pytest.mark.parametrize("row", [1, [], ["/", "pid", "r", {}, 1.0], ["/", "pid", [1], {}, 1], [1, "", [], {}, 0]])
def test_a_malformed_client_is_refused(row: Any) -> None:
    with pytest.raises(EnvelopeError):
        list(read_clients(pack_values([row])))


def test_the_nodes_that_have_left_keep_their_ages() -> None:
    row = unpack_list(pack_departed(A, [DepartedNode(B, 7, 90.0)], 100.0))
    assert row[0] is None  # other rows begin with the index of a client, or the id of a node
    assert read_departed(row, 50.0) == (A, [DepartedNode(B, 7, 40.0)])
    for malformed in ([None], [None, "a", 5], [None, "a", [["b", 7]]], [None, "a", [["b", "7", 1.0]]]):
        with pytest.raises(EnvelopeError):
            read_departed(malformed, 50.0)
