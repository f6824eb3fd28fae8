"""Tests of `zmqio.cluster.recent_joins`."""

from zmqio.cluster.recent_joins import SUBSCRIBED_AFTER_S, RecentJoins


def test_room_is_included_for_a_while_after_each_join() -> None:
    now = 100.0
    joins = RecentJoins(lambda: now)
    assert not joins.includes_any(["a"])
    joins.add(["a", "b"])
    now += SUBSCRIBED_AFTER_S / 2
    joins.add(["a"])
    assert joins.includes_any(["a"])
    assert joins.includes_any(["x", "b"])
    assert not joins.includes_any(["x"])
    assert not joins.includes_any([])
    now += SUBSCRIBED_AFTER_S / 2
    assert not joins.includes_any(["b"])
    assert joins.includes_any(["a"])
    now += SUBSCRIBED_AFTER_S / 2
    assert not joins.includes_any(["a"])
