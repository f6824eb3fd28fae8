"""A capture keeps the packets that concern a client."""

import pytest

from zmqio.cluster.captures import MAX_CAPTURED_BYTES, Capture
from zmqio.ids import NodeId
from zmqio.protocol.messages import BroadcastMessage

NODE = NodeId("other")


def broadcast(rooms: str = "", except_: str = "", *, volatile: bool = False) -> BroadcastMessage:
    return BroadcastMessage("/", tuple(rooms), tuple(except_), volatile, ("x",))


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (broadcast(), True),
        (broadcast("a"), True),
        (broadcast("xb"), True),
        (broadcast("x"), False),
        (broadcast("a", "b"), False),
        (broadcast("", "x"), True),
        (broadcast("a", volatile=True), False),
    ],
)
def test_only_packets_for_the_rooms_are_kept(message: BroadcastMessage, kept: bool) -> None:
    capture = Capture(frozenset("ab"))
    capture.add(message, NODE, 7, 1.0)
    assert [packet.bus_number for packet in capture.packets] == [7] * kept


def test_packets_up_to_a_number_are_left_out() -> None:
    capture = Capture(frozenset("a"))
    for number in (5, 6, 7):
        capture.add(broadcast(), NODE, number, 1.0)
    assert [packet.bus_number for packet in capture.after({NODE: 6})] == [7]
    assert len(capture.after({})) == 3


def test_packets_beyond_the_limit_are_dropped_and_their_nodes_named() -> None:
    capture, other = Capture(frozenset("a")), NodeId("yet another")
    large = BroadcastMessage("/", (), (), False, ("x" * (MAX_CAPTURED_BYTES - 1),))
    capture.add(large, NODE, 1, 1.0)
    capture.add(broadcast("x"), other, 1, 1.0)  # does not concern the client
    capture.add(broadcast(), NODE, 2, 1.0)
    assert (len(capture.packets), capture.dropped) == (2, set())
    capture.add(broadcast(), NODE, 3, 1.0)
    assert ([packet.bus_number for packet in capture.packets], capture.dropped) == ([1, 2], {NODE})
