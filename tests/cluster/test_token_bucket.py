from zmqio.cluster.token_bucket import TokenBucket


def test_units_are_taken_until_none_are_left_and_return_with_time() -> None:
    bucket = TokenBucket(per_s=2.0, burst=3.0, now=0.0)
    assert [bucket.take(1, 0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(1, 0.5)
    assert not bucket.take(1, 0.5)


def test_no_more_than_the_burst_is_saved_up() -> None:
    bucket = TokenBucket(per_s=1.0, burst=2.0, now=0.0)
    assert [bucket.take(1, 100.0) for _ in range(3)] == [True, True, False]
    assert not bucket.is_full(101.0)
    assert bucket.is_full(102.0)


def test_last_expense_may_exceed_what_is_left_and_is_paid_back() -> None:
    bucket = TokenBucket(per_s=10.0, burst=10.0, now=0.0)
    bucket.spend(30, 0.0)
    assert not bucket.has_credit(2.0)
    assert bucket.has_credit(2.1)
