import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.cluster.requests.rows import count_rows, join_rows
from zmqio.protocol.values import pack_values, unpack_values


def test_no_rows_are_one_empty_list() -> None:
    assert [unpack_values(part) for part in join_rows([], 100)] == [[]]


def test_rows_that_do_not_fit_make_another_part() -> None:
    rows = [pack_values("x" * 10)] * 3
    assert [unpack_values(part) for part in join_rows(rows, 30)] == [["x" * 10] * 2, ["x" * 10]]


def test_row_over_the_limit_makes_a_part_of_its_own() -> None:
    rows = [pack_values(value) for value in ("a", "x" * 100, "b")]
    assert [unpack_values(part) for part in join_rows(rows, 20)] == [["a"], ["x" * 100], ["b"]]


@given(st.lists(st.text(max_size=30)), st.integers(40 * 4, 1000))
def test_all_rows_arrive_in_order_and_no_part_is_over_the_limit(values: list[str], limit: int) -> None:
    parts = list(join_rows([pack_values(value) for value in values], limit))
    assert [value for part in parts for value in unpack_values(part)] == values
    assert all(len(part) <= limit for part in parts)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536])
def test_rows_of_a_part_are_counted_without_unpacking(count: int) -> None:
    assert count_rows(pack_values([0] * count)) == count


def test_what_is_no_list_cannot_be_counted() -> None:
    with pytest.raises((ValueError, TypeError)):
        count_rows(pack_values({"a": 1}))
