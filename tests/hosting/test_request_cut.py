"""The cuts of received bytes: the parser sees one request at a time, and the same requests as without cuts."""

from hypothesis import example, given
from hypothesis import strategies as st

from zmqio.hosting.request_cut import cut_chunks, cut_head, keep_tail

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_head_is_cut_at_its_end() -> None:
    assert cut_head(HEAD + b"rest", 0, b"") == len(HEAD)
    assert cut_head(b"ab" + HEAD + HEAD, 2, b"") == 2 + len(HEAD)
    assert cut_head(b"GET / HTTP", 0, b"") == 10


@given(st.lists(st.integers(1, 30)))
@example([len(HEAD) - 1])
@example([len(HEAD) - 2, 1])
@example([len(HEAD) - 3])
def test_head_in_pieces_is_cut_at_its_end(sizes: list[int]) -> None:
    data, tail, position = HEAD + b"body" + HEAD, b"", 0
    for size in (*sizes, len(data)):
        piece, position = data[position : position + size], position + size
        if not piece:
            break
        end = cut_head(piece, 0, tail)
        if end < len(piece) or position >= len(HEAD):
            assert position - size + end == len(HEAD)
            return
        tail = keep_tail(tail, piece)
    raise AssertionError("the end was not found")


def test_body_in_chunks_is_given_up_to_a_few_bytes_behind_its_end() -> None:
    end = b"0\r\n\r\n"
    for size in (0, 1, 60, 100, 5_000):
        data = b"x" * size + end + HEAD * 1_000
        cut = cut_chunks(data, 0)
        assert 0 < cut <= size + len(end) + 64 + len(HEAD)
    assert cut_chunks(b"\r\n\r\n" * 10_000, 0) >= 64
    assert cut_chunks(b"x" * 100_000, 500) == 500 + (1 << 14)
    assert cut_chunks(b"xy", 1) == 2
