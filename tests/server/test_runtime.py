"""`Runtime`: the parts that one process has once."""

from tests.support.fake_engine import Stand


def test_namespaces_of_a_server_share_the_fifo_of_broadcasts_and_the_tasks() -> None:
    stand = Stand()
    other = Stand()
    assert stand.runtime.fanout is not other.runtime.fanout
    assert stand.runtime.tasks is not other.runtime.tasks
    assert not stand.runtime.fanout.busy
