import errno
import gc
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from zmqio_broker import accept_pause
from zmqio_broker.accept_pause import PAUSE_S, AcceptPause

from tests.support.timing import LIMIT_S


class Harness:
    def __init__(self, listener: socket.socket) -> None:
        self.now = 0.0
        self.listener = listener
        self.pause = AcceptPause(lambda: self.now)
        self.pause.add_listener(listener.fileno())

    def connect(self, timeout_s: float = LIMIT_S) -> socket.socket:
        return socket.create_connection(self.listener.getsockname(), timeout=timeout_s)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def harness() -> Iterator[Harness]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Harness(listener)
        yield made
        made.pause.close()


def test_connections_that_wait_are_closed_and_new_ones_get_no_answer(harness: Harness) -> None:
    with harness.connect() as waiting:
        assert select.select([harness.listener], [], [], LIMIT_S)[0]  # the kernel has completed it
        harness.pause.failed(errno.ENFILE)
        assert harness.pause.is_paused
        assert waiting.recv(1) == b""
    with pytest.raises(TimeoutError):
        harness.connect(0.05)


def test_connections_are_accepted_again_after_the_pause(harness: Harness) -> None:
    harness.pause.failed(errno.ENFILE)
    harness.now = PAUSE_S / 2
    harness.pause.failed(errno.ENFILE)
    harness.pause.end_if_due()
    assert harness.pause.is_paused
    harness.now = PAUSE_S
    harness.pause.end_if_due()
    assert not harness.pause.is_paused
    with harness.connect():
        accepted, _ = harness.listener.accept()
        accepted.close()


def test_reserved_descriptor_is_released(harness: Harness) -> None:
    gc.collect()  # otherwise sockets of earlier tests may be closed in between
    before = open_files()
    harness.pause.failed(errno.ENFILE)
    assert open_files() == before
    harness.pause.close()
    assert open_files() == before - 1


def test_reserve_that_a_connection_has_taken_is_missing_until_the_pause_ends(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.pause.failed(errno.ENFILE)
    assert not harness.pause.lacks_reserve
    with monkeypatch.context() as patch:
        patch.setattr(accept_pause, "_open_reserve", lambda: None)
        harness.pause.failed(errno.ENFILE)
    assert harness.pause.lacks_reserve
    harness.now = PAUSE_S
    harness.pause.end_if_due()
    assert not harness.pause.lacks_reserve


def test_closed_listener_is_ignored(harness: Harness) -> None:
    harness.listener.close()
    harness.pause.failed(errno.ENFILE)
    harness.now = PAUSE_S
    harness.pause.end_if_due()
    assert not harness.pause.is_paused


def test_other_failures_pause_nothing(harness: Harness) -> None:
    harness.pause.failed(errno.ECONNABORTED)
    harness.pause.failed(errno.EAGAIN)
    assert not harness.pause.is_paused
