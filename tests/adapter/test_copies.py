from zmqio.adapter.copies import RecentIds, StampRecord
from zmqio.ids import NodeId
from zmqio.protocol.messages import Stamp

P, Q = NodeId("p"), NodeId("q")


def test_each_number_of_a_publisher_is_new_once() -> None:
    record = StampRecord()
    stamps = [Stamp(P, n, 0) for n in (1, 1, 2, 5, 2, 5, 6)]
    assert [record.is_new(stamp) for stamp in stamps] == [True, False, True, True, False, False, True]


def test_publishers_do_not_disturb_each_other() -> None:
    record = StampRecord()
    assert record.is_new(Stamp(P, 7, 0))
    assert record.is_new(Stamp(Q, 1, 0))


def test_unstamped_messages_are_always_new_and_not_noted() -> None:
    record = StampRecord()
    assert record.is_new(Stamp(P, 9))
    assert record.is_new(Stamp(P, 9))
    assert record.is_new(Stamp(P, 9, 0))


def test_late_copy_of_a_publisher_that_left_is_still_a_copy() -> None:
    record = StampRecord()
    record.is_new(Stamp(P, 3, 0))
    record.gone(P)
    record.gone(Q)
    assert not record.is_new(Stamp(P, 3, 0))


def test_those_who_left_are_forgotten_first() -> None:
    record = StampRecord(publishers_kept=2)
    record.is_new(Stamp(P, 1, 0))
    record.is_new(Stamp(Q, 1, 0))
    record.gone(Q)
    record.is_new(Stamp(NodeId("r"), 1, 0))
    assert not record.is_new(Stamp(P, 1, 0))
    assert record.is_new(Stamp(Q, 1, 0))


def test_id_is_new_once_while_it_is_kept() -> None:
    ids = RecentIds(keep_s=60)
    assert ids.is_new("x", 0)
    assert not ids.is_new("x", 59.9)
    assert ids.is_new("x", 60)
    assert ids.is_new(("source", 1), 60)


def test_oldest_id_is_forgotten_beyond_the_limit() -> None:
    ids = RecentIds(limit=2, keep_s=60)
    assert [ids.is_new(name, 0) for name in "abc"] == [True, True, True]
    assert not ids.is_new("c", 1)
    assert not ids.is_new("b", 1)
    assert ids.is_new("a", 1)
