"""The fields of a query, and the limit on their number."""

from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st

from zmqio.protocol.query import MAX_QUERY_FIELDS, has_too_many_fields, parse_query


def test_last_value_of_a_repeated_name_counts_and_empty_values_are_kept() -> None:
    assert parse_query("a=1&b=&a=2%20") == {"a": "2 ", "b": ""}


def test_query_with_too_many_fields_has_none() -> None:
    most = "&".join(f"f{number}=1" for number in range(MAX_QUERY_FIELDS))
    assert len(parse_query(most)) == MAX_QUERY_FIELDS
    assert not has_too_many_fields(most)
    assert has_too_many_fields(most + "&")
    assert parse_query("&" * 30_000 + "sid=1") == {}


@given(st.text() | st.text("ab=&%2+;"))
def test_fields_are_those_that_the_standard_library_finds(query: str) -> None:
    assert parse_query(query) == (
        {} if has_too_many_fields(query) else dict(parse_qsl(query, keep_blank_values=True))
    )
