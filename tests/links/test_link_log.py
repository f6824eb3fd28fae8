"""Tests of `zmqio.links.link_log`."""

import heapq
import itertools

import pytest
import structlog

from zmqio.links.link_log import LinkLog


class FakeClock:
    """The parts of an event loop that `LinkLog` uses; time advances by hand."""

    def __init__(self):
        self._now = 100.0
        self._timers = []
        self._numbers = itertools.count()

    def time(self):
        return self._now

    def call_later(self, delay, action):
        timer = FakeTimer(action)
        heapq.heappush(self._timers, (self._now + delay, next(self._numbers), timer))
        return timer

    def advance(self, seconds):
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            self._now, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                timer.action()
        self._now = end


class FakeTimer:
    def __init__(self, action):
        self.action = action
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


@pytest.fixture
def clock():
    return FakeClock()


def names(lines):
    return [line["event"] for line in lines]


def test_start_logs_the_broker_address(clock):
    with structlog.testing.capture_logs() as lines:
        LinkLog(clock, 1, "tcp://a:5555", lambda: "Connection refused")
    assert lines == [{"event": "broker_connecting", "log_level": "info", "link": 1, "address": "tcp://a:5555"}]


def test_missing_broker_is_logged_after_five_seconds_and_then_every_minute(clock):
    with structlog.testing.capture_logs() as lines:
        LinkLog(clock, 0, "tcp://a:5555", lambda: "Connection refused")
        clock.advance(130)
    assert names(lines) == ["broker_connecting"] + ["broker_unreachable"] * 3
    assert [line["waited_s"] for line in lines[1:]] == [5.0, 65.0, 125.0]
    assert lines[1]["log_level"] == "warning"


def test_connection_loss_and_reconnection_are_logged_with_durations(clock):
    with structlog.testing.capture_logs() as lines:
        log = LinkLog(clock, 0, "tcp://a:5555", lambda: "Connection refused")
        clock.advance(2)
        log.ready()
        clock.advance(30)
        log.lost("the peer closed the connection")
        clock.advance(7)
        log.ready()
        clock.advance(1000)
    assert names(lines) == ["broker_connecting", "broker_connected", "broker_lost", "broker_reconnected"]
    assert (lines[1]["waited_s"], lines[2]["up_s"], lines[3]["away_s"]) == (2.0, 30.0, 7.0)


def test_lost_broker_is_logged_every_minute(clock):
    with structlog.testing.capture_logs() as lines:
        log = LinkLog(clock, 0, "tcp://a:5555", lambda: "Connection refused")
        log.ready()
        log.lost("the peer closed the connection")
        clock.advance(121)
    assert [line["waited_s"] for line in lines if line["event"] == "broker_unreachable"] == [60.0, 120.0]


def test_only_a_changed_epoch_is_logged(clock):
    with structlog.testing.capture_logs() as lines:
        log = LinkLog(clock, 0, "tcp://a:5555", lambda: "Connection refused")
        for epoch in (b"\1" * 8, b"\1" * 8, b"\2" * 8):
            log.epoch(epoch)
    assert names(lines) == ["broker_connecting", "broker_restarted"]
    assert (lines[1]["previous"], lines[1]["epoch"]) == ("01" * 8, "02" * 8)


def test_few_failed_handshakes_are_not_logged(clock):
    with structlog.testing.capture_logs() as lines:
        log = LinkLog(clock, 0, "tcp://a:5555", lambda: "Connection refused")
        for _ in range(3):
            for _ in range(4):
                log.refused("not a ZeroMQ peer")
            log.ready()
    assert "broker_handshake_failed" not in names(lines)


def test_repeated_failed_handshakes_are_logged_once_a_minute(clock):
    with structlog.testing.capture_logs() as lines:
        log = LinkLog(clock, 0, "tcp://a:5555", lambda: "Connection refused")
        log.close()
        for _ in range(260):
            log.refused("not a ZeroMQ peer")
            clock.advance(0.5)
    assert names(lines)[1:] == ["broker_handshake_failed"] * 3
    assert (lines[2]["times"], lines[2]["reason"]) == (120, "not a ZeroMQ peer")


def test_closed_log_logs_nothing(clock):
    with structlog.testing.capture_logs() as lines:
        LinkLog(clock, 0, "tcp://a:5555", lambda: "Connection refused").close()
        clock.advance(1000)
    assert names(lines) == ["broker_connecting"]
