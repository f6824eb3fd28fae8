"""Splitting a byte stream into lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.launcher.ipc.line_reader import LineReader


@given(st.lists(st.binary().filter(lambda line: b"\n" not in line)), st.integers(1, 20))
def test_lines_round_trip_in_any_pieces(lines: list[bytes], piece: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    reader = LineReader()
    found = [line for at in range(0, len(data), piece) for line in reader.feed(data[at : at + piece])]
    assert found == lines


def test_line_that_is_too_long_is_an_error() -> None:
    reader = LineReader()
    assert reader.feed(b"x" * 100_000) == []
    with pytest.raises(ValueError, match="131072"):
        reader.feed(b"x" * 100_000)
