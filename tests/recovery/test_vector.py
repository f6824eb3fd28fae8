"""Vectors: which packets a client has received."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.ids import NodeId
from zmqio.recovery.vector import MAX_TEXT, decode_vector, encode_vector, latest, log_key

vectors = st.dictionaries(st.text(max_size=20), st.integers(0, 2**63 - 1), max_size=5)


@given(vectors)
def test_a_vector_survives_its_text(vector: dict[str, int]) -> None:
    text = encode_vector(vector)
    assert decode_vector(text) == vector
    assert '"' not in text and "\\" not in text


@given(vectors, vectors)
def test_latest_takes_the_higher_number_of_each_key(first: dict[str, int], second: dict[str, int]) -> None:
    merged = latest(first, second)
    assert merged.keys() == first.keys() | second.keys()
    assert all(number == max(first.get(key, -1), second.get(key, -1)) for key, number in merged.items())


def test_log_numbers_and_bus_numbers_of_a_node_have_different_keys() -> None:
    assert log_key(NodeId("node")) != "node"


@given(st.text(max_size=50))
def test_any_text_is_decoded_or_refused(text: str) -> None:
    decode_vector(text)


@pytest.mark.parametrize(
    "text", ["", "!", "gaFh_w", "é", "A" * (MAX_TEXT + 1), encode_vector({"x": -1}), encode_vector({"x" * 70: 1})]
)
def test_what_is_no_vector_is_refused(text: str) -> None:
    assert decode_vector(text) is None
