from zmqio.cluster.copies import DuplicateFilter


def test_id_is_new_once_while_it_is_kept() -> None:
    ids = DuplicateFilter(keep_s=60)
    assert ids.is_new("x", 0)
    assert not ids.is_new("x", 59.9)
    assert ids.is_new("x", 60)
    assert ids.is_new(("source", 1), 60)


def test_oldest_id_is_forgotten_beyond_the_limit() -> None:
    ids = DuplicateFilter(limit=2, keep_s=60)
    assert [ids.is_new(name, 0) for name in "abc"] == [True, True, True]
    assert not ids.is_new("c", 1)
    assert not ids.is_new("b", 1)
    assert ids.is_new("a", 1)
