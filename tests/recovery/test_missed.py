"""Missed packets of several nodes become one sequence."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from zmqio.ids import NodeId
from zmqio.protocol.packet import Frames
from zmqio.recovery.missed import MissedPacket, in_order, with_offsets

Packets = dict[str, list[tuple[float, int]]]


def append(frames: Frames, vector: Mapping[str, int]) -> Frames:
    return (*frames, repr(dict(vector)))


@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.floats(0, 10), max_size=5)))
def test_each_node_keeps_its_order_and_each_offset_names_what_came_so_far(ages: dict[str, list[float]]) -> None:
    by_node = [
        [MissedPacket(NodeId(node), None, n, at, (f"{node}{n}",)) for n, at in enumerate(times, 1)]
        for node, times in ages.items()
    ]
    received = {"a": 0, "z": 9}
    for text, offset in with_offsets(received, by_node, append):
        node, n = str(text)[0], int(str(text)[1:])
        assert n == received.get(node, 0) + 1
        received[node] = n
        assert offset == repr(received) or eval(str(offset)) == received
    assert {node: len(times) for node, times in ages.items() if times} == {
        node: n for node, n in received.items() if n and node != "z"
    }


def test_packets_of_different_nodes_are_merged_by_time() -> None:
    first = [MissedPacket(NodeId("a"), 1, 1, 1.0, ("a1",)), MissedPacket(NodeId("a"), 2, 2, 3.0, ("a2",))]
    second = [MissedPacket(NodeId("b"), 1, 1, 2.0, ("b1",))]
    assert [frames[0] for frames in with_offsets({}, (first, second), append)] == ["a1", "b1", "a2"]


def test_packets_are_sorted_by_node_and_number_and_each_is_there_once() -> None:
    def packet(node: str, number: int | None, bus_number: int | None = None) -> MissedPacket:
        return MissedPacket(NodeId(node), number, bus_number, 0.0, ("x",))

    lists = in_order([packet("a", 2), packet("b", 1), packet("a", 1), packet("a", 2)], [packet("b", None, 9)])
    assert [[(each.node_id, each.number, each.bus_number) for each in found] for found in lists] == [
        [("a", 1, None), ("a", 2, None)],
        [("b", 1, None), ("b", None, 9)],
    ]


def test_the_numbers_of_a_packet_are_entries_of_a_vector() -> None:
    assert MissedPacket(NodeId("a"), 1, 2, 0.0, ("x",)).numbers == {"=a": 1, "a": 2}
    private = MissedPacket(NodeId("a"), 1, None, 0.0, ("x",))
    assert private.numbers == {"=a": 1} and private.is_private
