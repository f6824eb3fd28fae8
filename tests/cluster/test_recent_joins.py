"""Tests of `zmqio.cluster.recent_joins`."""

from zmqio.cluster.recent_joins import SETTLED_AFTER_S, RecentJoins


def test_a_room_is_concerned_for_a_while_after_each_time() -> None:
    now = 100.0
    joins = RecentJoins(lambda: now)
    assert not joins.concern(["a"])
    joins.told(["a", "b"])
    now += SETTLED_AFTER_S / 2
    joins.told(["a"])
    assert joins.concern(["a"])
    assert joins.concern(["x", "b"])
    assert not joins.concern(["x"])
    assert not joins.concern([])
    now += SETTLED_AFTER_S / 2
    assert not joins.concern(["b"])
    assert joins.concern(["a"])
    now += SETTLED_AFTER_S / 2
    assert not joins.concern(["a"])
