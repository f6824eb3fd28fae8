import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.cluster.requests.rows import count_rows, pack_rows
from zmqio.exceptions import EnvelopeError
from zmqio.protocol.values import pack_values, unpack_values


def test_no_rows_make_one_empty_batch() -> None:
    assert [unpack_values(batch) for batch in pack_rows([], 100)] == [[]]


def test_rows_over_the_limit_go_into_another_batch() -> None:
    rows = [pack_values("x" * 10)] * 3
    assert [unpack_values(batch) for batch in pack_rows(rows, 30)] == [["x" * 10] * 2, ["x" * 10]]


def test_single_row_over_the_limit_is_a_batch_of_its_own() -> None:
    rows = [pack_values(value) for value in ("a", "x" * 100, "b")]
    assert [unpack_values(batch) for batch in pack_rows(rows, 20)] == [["a"], ["x" * 100], ["b"]]


@given(st.lists(st.text(max_size=30)), st.integers(40 * 4, 1000))
def test_rows_keep_their_order_and_no_batch_is_over_the_limit(values: list[str], limit: int) -> None:
    batches = list(pack_rows([pack_values(value) for value in values], limit))
    assert [value for batch in batches for value in unpack_values(batch)] == values
    assert all(len(batch) <= limit for batch in batches)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536])
def test_rows_of_a_batch_are_counted_without_unpacking(count: int) -> None:
    assert count_rows(pack_values([0] * count)) == count


def test_rows_of_anything_but_a_list_cannot_be_counted() -> None:
    with pytest.raises((ValueError, TypeError)):
        count_rows(pack_values({"a": 1}))


def test_batch_that_announces_more_rows_than_bytes_is_refused():
    for batch in (b"\xdd\xff\xff\xff\xff", b"\xdc\x00\x09\xc0", b"\xc0", b""):
        with pytest.raises(EnvelopeError):
            count_rows(batch)
