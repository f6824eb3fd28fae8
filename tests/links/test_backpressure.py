"""Tests of `zmqio.links.backpressure`: a full link is skipped until the gap has been reported on it."""

import asyncio
from collections import Counter
from collections.abc import Callable

from structlog.testing import capture_logs

from tests.support.timing import wait_until
from zmqio.links.backpressure import Backpressure


class FakeSender:
    """The publisher of a link, with a queue that is full on demand."""

    def __init__(self) -> None:
        self.accepted: list[bytes] = []
        self.is_full = False
        self.is_lost = False

    def send(self, frame: bytes) -> bool:
        if not self.is_full:
            self.accepted.append(frame)
        return not self.is_full


class Harness:
    """Two links; a retry sends a message on the retried link."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.retries: list[int] = []
        self.on_retry: Callable[[int], object] = lambda link: self.links.send_on(link, b"again")
        self.links = Backpressure(self.counters, self.retry)
        self.senders = [FakeSender(), FakeSender()]
        for link, sender in enumerate(self.senders):
            self.links.add(link, sender)

    def retry(self, link: int) -> None:
        self.retries.append(link)
        self.on_retry(link)

    @property
    def accepted(self) -> list[list[bytes]]:
        return [sender.accepted for sender in self.senders]


async def test_message_is_sent_on_every_link_or_on_one() -> None:
    harness = Harness()
    assert harness.links.send(b"all") == 2
    assert harness.links.send_on(1, b"one") == 1
    assert harness.links.send_on(7, b"none") == 0
    assert harness.accepted == [[b"all"], [b"all", b"one"]]


async def test_lost_link_gets_nothing() -> None:
    harness = Harness()
    harness.links.remove(0)
    harness.links.remove(0)
    assert harness.links.send(b"x") == 1
    assert harness.links.send_on(0, b"x") == 0
    harness.links.close()
    assert harness.links.send(b"y") == 0
    assert harness.accepted == [[], [b"x"]]


async def test_full_link_is_skipped_until_it_accepts_a_message_of_a_retry() -> None:
    harness = Harness()
    harness.senders[0].is_full = True
    assert harness.links.send(b"1") == 1
    harness.senders[0].is_full = False
    assert harness.links.send(b"2") == 1
    await wait_until(lambda: harness.retries, "a retry")
    assert harness.links.send(b"3") == 2
    assert harness.accepted == [[b"again", b"3"], [b"1", b"2", b"3"]]
    assert harness.counters == {"bus_queue_overflows": 1}


async def test_heartbeat_is_not_sent_on_a_full_link_before_the_gap_is_reported() -> None:
    """A heartbeat carries the newest message number: to peers it would prove that nothing is missing."""
    harness = Harness()
    harness.senders[0].is_full = True
    harness.links.send(b"1")
    harness.senders[0].is_full = False
    assert harness.links.send_on(0, b"heartbeat") == 0
    assert harness.links.send(b"2") == 1
    await wait_until(lambda: harness.retries, "a retry")
    assert harness.links.send_on(0, b"heartbeat") == 1
    assert harness.accepted[0] == [b"again", b"heartbeat"]


async def test_rejected_message_for_one_link_marks_it_full() -> None:
    harness = Harness()
    harness.senders[0].is_full = True
    assert harness.links.send_on(0, b"x") == 0
    harness.senders[0].is_full = False
    assert harness.links.send(b"y") == 1
    assert harness.counters == {"bus_queue_overflows": 1}


async def test_full_link_is_retried_until_it_accepts_a_message() -> None:
    harness = Harness()
    harness.senders[0].is_full = True
    harness.links.send(b"1")
    await wait_until(lambda: len(harness.retries) >= 3, "three retries")
    assert harness.accepted[0] == []
    harness.senders[0].is_full = False
    await wait_until(lambda: harness.accepted[0], "a message is accepted")
    assert harness.counters == {"bus_queue_overflows": 1}  # a single overflow


async def test_link_is_retried_after_a_retry_that_sent_nothing_or_raised() -> None:
    harness = Harness()

    def fail(link: int) -> None:
        if len(harness.retries) < 2:
            return
        harness.on_retry = lambda link: harness.links.send_on(link, b"again")
        raise RuntimeError("a bug")

    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context["exception"]))
    harness.on_retry = fail
    harness.senders[0].is_full = True
    harness.links.send(b"1")
    harness.senders[0].is_full = False
    await wait_until(lambda: harness.accepted[0], "the third retry")
    assert harness.retries == [0, 0, 0]
    assert len(failures) == 1


async def test_lost_full_link_is_not_retried_and_is_writable_when_added_again() -> None:
    harness = Harness()
    for sender in harness.senders:
        sender.is_full = True
    harness.links.send(b"1")
    harness.links.remove(0)
    await wait_until(lambda: harness.retries, "a retry of the other link")
    assert set(harness.retries) == {1}
    harness.senders[0].is_full = False
    harness.links.add(0, harness.senders[0])
    assert harness.links.send(b"2") == 1
    assert harness.accepted[0] == [b"2"]
    harness.links.close()


async def test_lost_connection_is_not_an_overflow() -> None:
    harness = Harness()
    harness.senders[0].is_full = harness.senders[0].is_lost = True
    with capture_logs() as lines:
        assert harness.links.send(b"1") == 1
    assert (harness.counters, lines) == ({}, [])
    harness.links.close()


async def test_overflows_are_logged_with_their_link() -> None:
    harness = Harness()
    harness.senders[1].is_full = True
    with capture_logs() as lines:
        harness.links.send(b"1")
    assert [(line["event"], line["link"], line["times"]) for line in lines] == [("bus_queue_overflowed", 1, 1)]
    harness.links.close()


async def test_link_that_fails_unexpectedly_counts_as_full_and_the_others_get_the_message() -> None:
    """Otherwise nobody would know which links have the message, and the gap would not be announced."""
    harness = Harness()

    def fail(frame: bytes) -> bool:
        raise RuntimeError("a bug")

    accept = harness.senders[0].send
    harness.senders[0].send = fail  # type: ignore[method-assign]
    with capture_logs() as lines:
        assert harness.links.send(b"1") == 1
        assert harness.links.send_on(0, b"heartbeat") == 0
    harness.senders[0].send = accept  # type: ignore[method-assign]
    assert [line["event"] for line in lines] == ["link_send_failed", "bus_queue_overflowed"]
    assert harness.links.send(b"2") == 1
    await wait_until(lambda: harness.retries, "a retry, which announces the gap")
    assert harness.links.send(b"3") == 2
    assert harness.accepted == [[b"again", b"3"], [b"1", b"2", b"3"]]
    assert harness.counters["link_sends_failed"] == 1
    harness.links.close()


def test_full_link_rejects_a_goodbye_after_the_event_loop_has_ended() -> None:
    async def make() -> Harness:
        return Harness()

    harness = asyncio.run(make())
    harness.senders[0].is_full = True
    assert harness.links.send_on(0, b"goodbye") == 0
    assert harness.links.send_on(1, b"goodbye") == 1
