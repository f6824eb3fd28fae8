"""Put lines together from what comes in pieces. Pure."""

__all__ = ["LineReader"]

_LONGEST_LINE = 1 << 17


class LineReader:
    """Lines of bytes that end with a newline."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their newlines.

        Raises:
            ValueError: one has more than 128 KiB: the other end does not speak in such lines.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            raise ValueError(f"a line of more than {_LONGEST_LINE} bytes")
        return lines
