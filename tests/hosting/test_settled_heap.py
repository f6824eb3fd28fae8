"""`settle_heap`: what there is is not looked at again."""

import gc

from zmqio.hosting.settled_heap import settle_heap


def test_what_is_settled_is_no_more_work_for_the_collector() -> None:
    kept = [[number] for number in range(1000)]
    settle_heap()
    try:
        assert gc.get_freeze_count() > len(kept)
        assert not any(each is kept for each in gc.get_objects())
    finally:
        gc.unfreeze()
    assert any(each is kept for each in gc.get_objects())
