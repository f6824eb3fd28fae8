"""Cuts received bytes, so that uvicorn's parser is given one request at a time. Pure.

A cut only decides how many bytes the parser gets in one call. A wrong one changes no result; it can let the parser
see the next request too early.

Source: RFC 9112, sections 2.1 and 7.1: a head, and a body in chunks, end with an empty line.
"""

__all__ = ["cut_chunks", "cut_head", "keep_tail"]

_EMPTY_LINE = b"\r\n\r\n"
_MIN_CHUNKS_BYTES = 64
"""Fewest bytes of a body in chunks given at once, so that a body of empty lines does not cost one call each."""
_MAX_CHUNKS_BYTES = 1 << 14


def cut_head(data: bytes, start: int, tail: bytes) -> int:
    """Return the end of the first head in `data` at or behind `start`, or the end of `data`.

    Args:
        data: received bytes.
        start: index of the first byte that the parser has yet to get.
        tail: the last bytes of this head that the parser got before `data` (see `keep_tail`).
    """
    if tail:
        found = (tail + data[start : start + 3]).find(_EMPTY_LINE)
        if found >= 0:
            return start + found + 4 - len(tail)
    found = data.find(_EMPTY_LINE, start)
    return found + 4 if found >= 0 else len(data)


def keep_tail(tail: bytes, part: bytes) -> bytes:
    """Return the bytes of an incomplete head with which its empty line may begin."""
    return (tail + part[-3:])[-3:]


def cut_chunks(data: bytes, start: int) -> int:
    """Return an index behind `start` that is at most some 60 bytes behind the end of a body in chunks."""
    most = min(len(data), start + _MAX_CHUNKS_BYTES)
    found = data.find(_EMPTY_LINE, start + _MIN_CHUNKS_BYTES - 4, most)
    return found + 4 if found >= 0 else most
