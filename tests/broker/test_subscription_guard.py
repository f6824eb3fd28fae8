import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress

import pytest
from structlog.testing import capture_logs
from zmqio_broker.connection_samples import ConnectionSample
from zmqio_broker.subscription_guard import (
    BLOCKED_S,
    LIMITS_PER_S,
    MAX_BLOCKED,
    SubscriptionGuard,
    SubscriptionWatch,
)

from tests.support.timing import LIMIT_S

MB = 1_000_000


class Harness:
    def __init__(self, max_bytes: int = MB) -> None:
        self.received: dict[int, int] = {}
        self.closed: list[int] = []
        self.blocks: list[list[str]] = []
        self.guard = SubscriptionGuard(
            max_bytes, self.block, self.sample, self.closed.append, lambda descriptor: f"10.0.0.{descriptor}:555"
        )

    def block(self, hosts: Collection[str]) -> None:
        self.blocks.append(list(hosts))

    def sample(self, descriptor: int) -> ConnectionSample | None:
        received = self.received.get(descriptor)
        return None if received is None else ConnectionSample(received, 0, 0)

    def receive(self, descriptor: int, size: int, now: float) -> bool:
        self.received[descriptor] = self.received.get(descriptor, 0) + size
        return self.guard.check(self.guard.take_samples([descriptor]), now)


def test_connection_over_the_limit_is_closed_logged_and_its_address_blocked_for_a_time() -> None:
    harness = Harness()
    harness.guard.add(3, 0.0)
    harness.guard.add(4, 0.0)
    harness.receive(4, MB, 0.0)
    with capture_logs() as logged:
        harness.receive(3, MB + 1, 0.0)
    assert (harness.closed, harness.guard.closed, harness.blocks) == ([3], 1, [["10.0.0.3"]])
    (line,) = logged
    assert (line["event"], line["endpoint"], line["limit"]) == ("connection_closed", "subscribe", MB)
    assert (line["peer"], line["option"]) == ("10.0.0.3:555", "--subscription-bytes")
    harness.guard.check({}, BLOCKED_S - 1)
    assert harness.guard.blocks
    harness.guard.check({}, BLOCKED_S)
    assert harness.blocks[1:] == [[]]
    assert not harness.guard.blocks


def test_closed_connection_is_closed_once_and_its_descriptor_starts_again() -> None:
    harness = Harness()
    harness.guard.add(3, 0.0)
    harness.receive(3, 2 * MB, 0.0)
    harness.receive(3, 2 * MB, 0.0)  # libzmq closes it a little later
    assert harness.closed == [3]
    harness.received[3] = 0
    harness.guard.add(3, 1.0)
    harness.receive(3, MB, 1.0)
    assert harness.closed == [3]


def test_node_may_join_and_leave_rooms_all_the_time() -> None:
    harness = Harness(MB)
    harness.guard.add(3, 0.0)
    for half_second in range(1_000):
        harness.receive(3, int(LIMITS_PER_S * MB / 2), half_second / 2)
    assert harness.closed == []


def test_rooms_may_come_and_go_faster_while_few_topics_are_kept() -> None:
    harness = Harness(4 * MB)
    harness.guard.add(3, 0.0)
    for half_second in range(100):
        harness.receive(3, 3 * MB, half_second / 2)
        harness.guard.settle(topic_bytes=1_000)
    assert harness.closed == []
    harness.receive(3, 4 * MB + 1, 50.0)
    assert harness.closed == [3]


def test_connection_that_floods_is_checked_again_soon_until_it_is_closed() -> None:
    harness = Harness()
    harness.guard.add(3, 0.0)
    assert not harness.receive(3, MB // 100, 0.0)
    assert harness.receive(3, MB // 100, 0.0)
    assert not harness.receive(3, MB, 0.0)
    assert harness.closed == [3]


def test_connection_without_counters_stays() -> None:
    harness = Harness()
    harness.guard.add(3, 0.0)
    harness.guard.check(harness.guard.take_samples([3, 4]), 0.0)
    assert harness.closed == []


def test_blocked_addresses_have_a_limit() -> None:
    harness = Harness()
    for descriptor in range(MAX_BLOCKED + 1):
        harness.guard.add(descriptor, 0.0)
        harness.receive(descriptor, 2 * MB, 0.0)
    assert len(harness.closed) == MAX_BLOCKED + 1
    assert len(harness.blocks[-1]) == MAX_BLOCKED


@pytest.fixture
def watch() -> Iterator[SubscriptionWatch]:
    made = SubscriptionWatch(10_000)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join(LIMIT_S)
    assert not thread.is_alive()


def test_watch_closes_a_connection_that_sends_too_much_and_blocks_its_address(watch: SubscriptionWatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        watch.listening(listener.fileno())
        with socket.create_connection(listener.getsockname(), LIMIT_S, ("127.0.0.2", 0)) as peer:
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(LIMIT_S)
                watch.accepted(accepted.fileno())
                peer.sendall(bytes(5_000))
                assert len(accepted.recv(5_000, socket.MSG_WAITALL)) == 5_000
                with suppress(ConnectionError):  # it may be closed before all has been sent
                    peer.sendall(bytes(100_000))  # in one piece: what it may send in the meantime is less
                accepted.recv(100_000, socket.MSG_WAITALL)  # less if it is closed in between
                assert peer.recv(1) == b""
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname(), 0.05, ("127.0.0.2", 0))
    assert watch.guard.closed == 1
