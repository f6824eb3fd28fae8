"""Split a byte stream into lines. Pure."""

__all__ = ["LineReader"]

_MAX_LINE_BYTES = 1 << 17


class LineReader:
    """Collects received bytes and returns complete lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, without their newlines.

        Raises:
            ValueError: a line has more than 128 KiB, so the peer speaks another protocol.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_LINE_BYTES:
            raise ValueError(f"line is longer than {_MAX_LINE_BYTES} bytes")
        return lines
