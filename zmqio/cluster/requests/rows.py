"""Packed rows of a long response, split into batches that fit in bus messages. Pure."""

from collections.abc import Iterable, Iterator

import msgpack

from zmqio.exceptions import EnvelopeError

__all__ = ["count_rows", "pack_rows"]

_HEADER_BYTES = 5  # the longest msgpack array header
_header = msgpack.Packer()


def pack_rows(rows: Iterable[bytes], limit_bytes: int) -> Iterator[bytes]:
    """Pack rows into batches; `unpack_values` turns a batch back into the list of its rows.

    Args:
        rows: values, each packed by `pack_values`.
        limit_bytes: most bytes of one batch. A single row over the limit becomes a batch of its own; publishing
            it then raises MessageTooLargeError.

    Yields:
        At least one batch: an empty one if there are no rows.
    """
    batch: list[bytes] = []
    size = _HEADER_BYTES
    for row in rows:
        if batch and size + len(row) > limit_bytes:
            yield _pack(batch)
            batch, size = [], _HEADER_BYTES
        batch.append(row)
        size += len(row)
    yield _pack(batch)


def count_rows(batch: bytes) -> int:
    """Count the rows of a batch without unpacking them.

    Raises:
        EnvelopeError: `batch` is not a packed list, or too short for its rows.
    """
    unpacker = msgpack.Unpacker()
    unpacker.feed(batch[:_HEADER_BYTES])
    try:
        count: int = unpacker.read_array_header()
    except (ValueError, msgpack.UnpackException) as error:
        raise EnvelopeError("a batch of a response is not a packed list") from error
    if count >= len(batch):
        raise EnvelopeError(f"a batch of a response announces {count} rows in {len(batch)} bytes")
    return count


def _pack(batch: list[bytes]) -> bytes:
    header: bytes = _header.pack_array_header(len(batch))
    return b"".join((header, *batch))
