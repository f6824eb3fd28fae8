"""`EventRate`: the limit per second, and what is reported about the rest."""

from zmqio.server.admin.rate import MAX_EVENTS_PER_S, MAX_TRAFFIC_PER_S, EventRate


def test_events_beyond_the_limit_of_a_second_are_counted() -> None:
    rate = EventRate()
    allowed = [rate.allow(7.5, change=False) for _ in range(MAX_TRAFFIC_PER_S + 30)]
    assert allowed == [True] * MAX_TRAFFIC_PER_S + [False] * 30
    assert rate.take_omitted() == (30, 0)
    assert rate.take_omitted() == (0, 0)
    assert rate.allow(8.0, change=False)


def test_changes_have_room_that_other_events_do_not_take() -> None:
    rate = EventRate()
    while rate.allow(1.0, change=False):
        pass
    allowed = sum(rate.allow(1.0, change=True) for _ in range(MAX_EVENTS_PER_S))
    assert allowed == MAX_EVENTS_PER_S - MAX_TRAFFIC_PER_S
    assert rate.take_omitted() == (1 + MAX_EVENTS_PER_S - allowed, MAX_EVENTS_PER_S - allowed)
