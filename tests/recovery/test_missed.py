"""Missed packets of several nodes become one sequence."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from zmqio.protocol.packet import Frames
from zmqio.recovery.missed import MissedPacket, with_offsets

Packets = dict[str, list[tuple[float, int]]]


def append(frames: Frames, vector: Mapping[str, int]) -> Frames:
    return (*frames, repr(dict(vector)))


@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.floats(0, 10), max_size=5)))
def test_each_node_keeps_its_order_and_each_offset_names_what_came_so_far(ages: dict[str, list[float]]) -> None:
    by_node = [
        [MissedPacket(at, (f"{node}{n}",), {node: n}) for n, at in enumerate(times, 1)]
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
    first = [MissedPacket(1.0, ("a1",), {"a": 1}), MissedPacket(3.0, ("a2",), {"a": 2})]
    second = [MissedPacket(2.0, ("b1",), {"b": 1})]
    assert [frames[0] for frames in with_offsets({}, (first, second), append)] == ["a1", "b1", "a2"]
