"""Cut a long answer into parts that fit in messages. Pure."""

from collections.abc import Iterable, Iterator

import msgpack

__all__ = ["count_rows", "join_rows"]

_HEADER_BYTES = 5  # the longest msgpack array header
_header = msgpack.Packer()


def join_rows(rows: Iterable[bytes], limit_bytes: int) -> Iterator[bytes]:
    """Join values, each packed by `pack_values`, into lists in the same form.

    Args:
        rows: packed values.
        limit_bytes: most bytes of one list; a single value that is longer makes a list of its own all the same,
            and whoever sends it is told.

    Yields:
        At least one list: an empty one when there are no rows.
    """
    batch: list[bytes] = []
    size = _HEADER_BYTES
    for row in rows:
        if batch and size + len(row) > limit_bytes:
            yield _join(batch)
            batch, size = [], _HEADER_BYTES
        batch.append(row)
        size += len(row)
    yield _join(batch)


def count_rows(part: bytes) -> int:
    """How many values a joined list has; nothing of them is unpacked.

    Raises:
        ValueError: it is no list.
    """
    unpacker = msgpack.Unpacker()
    unpacker.feed(part[:_HEADER_BYTES])
    count: int = unpacker.read_array_header()
    return count


def _join(batch: list[bytes]) -> bytes:
    header: bytes = _header.pack_array_header(len(batch))
    return b"".join((header, *batch))
