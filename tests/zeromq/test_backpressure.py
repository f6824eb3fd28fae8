"""Tests of `zmqio.zeromq.backpressure`: a full link is skipped until the gap has been reported on it."""

import asyncio
from collections import Counter
from collections.abc import Callable

from structlog.testing import capture_logs

from tests.support.timing import wait_until
from zmqio.zeromq.backpressure import Backpressure


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


class Stage:
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
    stage = Stage()
    assert stage.links.send(b"all") == 2
    assert stage.links.send_on(1, b"one") == 1
    assert stage.links.send_on(7, b"none") == 0
    assert stage.accepted == [[b"all"], [b"all", b"one"]]


async def test_lost_link_gets_nothing() -> None:
    stage = Stage()
    stage.links.remove(0)
    stage.links.remove(0)
    assert stage.links.send(b"x") == 1
    assert stage.links.send_on(0, b"x") == 0
    stage.links.close()
    assert stage.links.send(b"y") == 0
    assert stage.accepted == [[], [b"x"]]


async def test_full_link_is_skipped_until_it_accepts_a_message_of_a_retry() -> None:
    stage = Stage()
    stage.senders[0].is_full = True
    assert stage.links.send(b"1") == 1
    stage.senders[0].is_full = False
    assert stage.links.send(b"2") == 1
    await wait_until(lambda: stage.retries, "a retry")
    assert stage.links.send(b"3") == 2
    assert stage.accepted == [[b"again", b"3"], [b"1", b"2", b"3"]]
    assert stage.counters == {"bus_queue_overflows": 1}


async def test_heartbeat_is_not_sent_on_a_full_link_before_the_gap_is_reported() -> None:
    """A heartbeat carries the newest message number: to peers it would prove that nothing is missing."""
    stage = Stage()
    stage.senders[0].is_full = True
    stage.links.send(b"1")
    stage.senders[0].is_full = False
    assert stage.links.send_on(0, b"heartbeat") == 0
    assert stage.links.send(b"2") == 1
    await wait_until(lambda: stage.retries, "a retry")
    assert stage.links.send_on(0, b"heartbeat") == 1
    assert stage.accepted[0] == [b"again", b"heartbeat"]


async def test_rejected_message_for_one_link_marks_it_full() -> None:
    stage = Stage()
    stage.senders[0].is_full = True
    assert stage.links.send_on(0, b"x") == 0
    stage.senders[0].is_full = False
    assert stage.links.send(b"y") == 1
    assert stage.counters == {"bus_queue_overflows": 1}


async def test_full_link_is_retried_until_it_accepts_a_message() -> None:
    stage = Stage()
    stage.senders[0].is_full = True
    stage.links.send(b"1")
    await wait_until(lambda: len(stage.retries) >= 3, "three retries")
    assert stage.accepted[0] == []
    stage.senders[0].is_full = False
    await wait_until(lambda: stage.accepted[0], "a message is accepted")
    assert stage.counters == {"bus_queue_overflows": 1}  # a single overflow


async def test_link_is_retried_after_a_retry_that_sent_nothing_or_raised() -> None:
    stage = Stage()

    def fail(link: int) -> None:
        if len(stage.retries) < 2:
            return
        stage.on_retry = lambda link: stage.links.send_on(link, b"again")
        raise RuntimeError("a bug")

    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context["exception"]))
    stage.on_retry = fail
    stage.senders[0].is_full = True
    stage.links.send(b"1")
    stage.senders[0].is_full = False
    await wait_until(lambda: stage.accepted[0], "the third retry")
    assert stage.retries == [0, 0, 0]
    assert len(failures) == 1


async def test_lost_full_link_is_not_retried_and_is_writable_when_added_again() -> None:
    stage = Stage()
    for sender in stage.senders:
        sender.is_full = True
    stage.links.send(b"1")
    stage.links.remove(0)
    await wait_until(lambda: stage.retries, "a retry of the other link")
    assert set(stage.retries) == {1}
    stage.senders[0].is_full = False
    stage.links.add(0, stage.senders[0])
    assert stage.links.send(b"2") == 1
    assert stage.accepted[0] == [b"2"]
    stage.links.close()


async def test_lost_connection_is_not_an_overflow() -> None:
    stage = Stage()
    stage.senders[0].is_full = stage.senders[0].is_lost = True
    with capture_logs() as lines:
        assert stage.links.send(b"1") == 1
    assert (stage.counters, lines) == ({}, [])
    stage.links.close()


async def test_overflows_are_logged_with_their_link() -> None:
    stage = Stage()
    stage.senders[1].is_full = True
    with capture_logs() as lines:
        stage.links.send(b"1")
    assert [(line["event"], line["link"], line["times"]) for line in lines] == [("bus_queue_overflowed", 1, 1)]
    stage.links.close()
