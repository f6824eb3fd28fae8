"""A capture keeps the packets that concern a client."""

import pytest

from zmqio.cluster.captures import Capture
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
