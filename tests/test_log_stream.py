"""A log stream never waits for its reader; unwritten data is lost, with an error for the writer."""

import io
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zmqio.log_stream import LogStream


@contextmanager
def over(descriptor: int, encoding: str = "utf-8") -> Iterator[LogStream]:
    """A log stream over a descriptor."""
    with open(descriptor, "w", encoding=encoding, closefd=False) as stream:
        log = LogStream(lambda: stream)
        yield log
        log.close()


def test_lines_arrive_in_order() -> None:
    reader, writer = os.pipe()
    with over(writer) as log:
        log.write("one\n")
        log.write("two\n")
    assert os.read(reader, 100) == b"one\ntwo\n"


def test_full_pipe_does_not_block_the_writer() -> None:
    reader, writer = os.pipe()
    with over(writer) as log, pytest.raises(BlockingIOError):
        for _ in range(10_000):
            log.write("x" * 100 + "\n")
    # The descriptor itself still waits: other processes share it.
    assert os.get_blocking(writer)
    os.read(reader, 1 << 20)
    with over(writer) as log:
        log.write("later\n")
    assert os.read(reader, 100).endswith(b"later\n")


def test_line_after_a_torn_one_begins_on_a_line_of_its_own() -> None:
    reader, writer = os.pipe()
    with over(writer) as log:
        with pytest.raises(BlockingIOError):
            log.write("x" * (1 << 20))
        os.read(reader, 1 << 20)
        log.write("later\n")
        assert os.read(reader, 100) == b"\nlater\n"


def test_full_socket_does_not_block_the_writer() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, over(ours.fileno()) as log:
        log.write("one\n")
        assert theirs.recv(100) == b"one\n"
        with pytest.raises(BlockingIOError):
            for _ in range(100_000):
                log.write("x" * 100)


def test_pipe_that_cannot_be_opened_again_does_not_block_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError  # as for a pipe of another user

    reader, writer = os.pipe()
    monkeypatch.setattr(os, "open", refuse)
    with over(writer) as log:
        with pytest.raises(BlockingIOError):
            for _ in range(10_000):
                log.write("x" * 9_000)
        assert os.read(reader, 10) == b"x" * 10


def test_full_disk_and_closed_pipe_are_errors() -> None:
    with Path("/dev/full").open("w") as full, over(full.fileno()) as log, pytest.raises(OSError, match="No space"):
        log.write("one\n")
    reader, writer = os.pipe()
    os.close(reader)
    with over(writer) as log, pytest.raises(BrokenPipeError):
        log.write("one\n")


def test_characters_that_the_encoding_lacks_are_escaped() -> None:
    reader, writer = os.pipe()
    with over(writer, "ascii") as log:
        log.write("Grüße \ud800\n")
    assert os.read(reader, 100) == b"Gr\\xfc\\xdfe \\ud800\n"


def test_stream_without_a_descriptor_is_written_as_usual() -> None:
    text = io.StringIO()
    log = LogStream(lambda: text)
    assert log.write("one\n") == 4
    log.flush()
    assert text.getvalue() == "one\n"
    assert not log.isatty()
    assert LogStream(lambda: None).write("one\n") == 0


def test_replaced_descriptor_is_used_from_the_next_line_on(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with first.open("w") as target, over(target.fileno()) as log:
        log.write("one\n")
        with second.open("w") as other:
            os.dup2(other.fileno(), target.fileno())
        log.write("two\n")
    assert (first.read_text(), second.read_text()) == ("one\n", "two\n")


def test_threads_share_a_stream() -> None:
    reader, writer = os.pipe()
    with over(writer) as log:
        threads = [threading.Thread(target=log.write, args=(f"{number}\n" * 10,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(os.read(reader, 1_000).splitlines()) == 40
