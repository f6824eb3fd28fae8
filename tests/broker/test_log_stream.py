"""Log lines that cannot be written at once are dropped."""

import io
import os
import socket
from pathlib import Path

import pytest
from zmqio_broker.log_stream import LossyStream


def test_lines_reach_a_file_and_a_buffer(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as file:
        assert LossyStream(file).write("one\ud800\n") == 5
    assert path.read_text() == "one\\ud800\n"
    buffer = io.StringIO()
    stream = LossyStream(buffer)
    stream.write("two\n")
    stream.flush()
    assert buffer.getvalue() == "two\n"


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_lines_that_nobody_reads_are_dropped_and_later_ones_are_written(kind: str) -> None:
    if kind == "pipe":
        reader, writer = os.pipe()
    else:
        ends = socket.socketpair()
        reader, writer = (end.detach() for end in ends)
    with open(reader, "rb", buffering=0) as reading, open(writer, "w") as writing:  # noqa: PTH123
        stream = LossyStream(writing)
        line = "x" * 10_000
        while stream.write(line):
            pass
        assert stream.write(line) == 0
        os.set_blocking(reader, False)
        while reading.read(1 << 16):
            pass
        assert stream.write("last\n") == 5
        assert reading.read(1 << 16) == b"last\n"


def test_full_disk_and_closed_reader_raise_nothing() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        assert LossyStream(full).write("x\n") == 0
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as closed:  # noqa: PTH123
        assert LossyStream(closed).write("x\n") == 0
        LossyStream(closed).flush()
