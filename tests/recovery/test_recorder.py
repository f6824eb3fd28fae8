"""The recorder of a namespace: log and position advance together."""

from itertools import count

from zmqio.ids import NodeId
from zmqio.recovery.packet_log import PacketLog
from zmqio.recovery.position import Position
from zmqio.recovery.recorder import PacketRecorder
from zmqio.recovery.vector import log_key

ME = NodeId("tagA-me")
OWN = log_key(ME)


def recorder() -> tuple[PacketRecorder, PacketLog]:
    log = PacketLog(ME, 1 << 20, 100.0)
    return PacketRecorder("/", log, Position(ME, "tagA", 0, 100.0, count(1)), lambda: 0.0), log


def test_a_packet_of_this_node_is_kept_and_in_its_own_offset() -> None:
    here, log = recorder()
    packet = here.sent(("2[]",), frozenset("r"))
    assert here.tables.decode(here.offset()) == {OWN: packet.number}
    assert log.missed("/", "r", {OWN: 0}, 0.0, 0, 0.0) == [packet]


def test_a_packet_of_another_node_is_in_its_own_offset_and_not_kept() -> None:
    here, log = recorder()
    here.received(NodeId("other"), 7)
    assert here.vector() == {OWN: 0, "other": 7}
    assert len(log) == 0


def test_a_mark_makes_later_offsets_differ() -> None:
    here, _ = recorder()
    before = here.offset()
    mark = here.mark()
    assert here.offset() != before
    assert here.vector()[OWN] == mark
