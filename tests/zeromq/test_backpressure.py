"""Which links take messages: a full one is left alone until it has told of the hole."""

import asyncio
from collections import Counter
from collections.abc import Callable

from structlog.testing import capture_logs

from tests.support.timing import wait_until
from zmqio.zeromq.backpressure import Backpressure


class FakeSender:
    """The publishing half of a link, with a queue that is full on demand."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.is_full = False
        self.is_lost = False

    def send(self, frame: bytes) -> bool:
        if not self.is_full:
            self.taken.append(frame)
        return not self.is_full


class Stage:
    """Two links; when one is tried again, it says so by a message."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.tried: list[int] = []
        self.when_tried: Callable[[int], object] = lambda link: self.flow.send_by(link, b"again")
        self.flow = Backpressure(self.counters, self.try_again)
        self.senders = [FakeSender(), FakeSender()]
        for link, sender in enumerate(self.senders):
            self.flow.add(link, sender)

    def try_again(self, link: int) -> None:
        self.tried.append(link)
        self.when_tried(link)

    @property
    def taken(self) -> list[list[bytes]]:
        return [sender.taken for sender in self.senders]


async def test_message_goes_by_every_link_or_by_one() -> None:
    stage = Stage()
    assert stage.flow.send(b"all") == 2
    assert stage.flow.send_by(1, b"one") == 1
    assert stage.flow.send_by(7, b"none") == 0
    assert stage.taken == [[b"all"], [b"all", b"one"]]


async def test_link_that_is_lost_gets_nothing_more() -> None:
    stage = Stage()
    stage.flow.remove(0)
    stage.flow.remove(0)
    assert stage.flow.send(b"x") == 1
    assert stage.flow.send_by(0, b"x") == 0
    stage.flow.close()
    assert stage.flow.send(b"y") == 0
    assert stage.taken == [[], [b"x"]]


async def test_full_link_is_left_alone_until_a_message_of_its_own_was_taken() -> None:
    stage = Stage()
    stage.senders[0].is_full = True
    assert stage.flow.send(b"1") == 1
    stage.senders[0].is_full = False
    assert stage.flow.send(b"2") == 1
    await wait_until(lambda: stage.tried, "another try")
    assert stage.flow.send(b"3") == 2
    assert stage.taken == [[b"again", b"3"], [b"1", b"2", b"3"]]
    assert stage.counters == {"bus_overflows": 1}


async def test_heartbeat_does_not_pass_a_full_link_before_the_hole_is_told() -> None:
    """It carries the number of the newest message: the others would take it for proof that nothing is missing."""
    stage = Stage()
    stage.senders[0].is_full = True
    stage.flow.send(b"1")
    stage.senders[0].is_full = False
    assert stage.flow.send_by(0, b"heartbeat") == 0
    assert stage.flow.send(b"2") == 1
    await wait_until(lambda: stage.tried, "another try")
    assert stage.flow.send_by(0, b"heartbeat") == 1
    assert stage.taken[0] == [b"again", b"heartbeat"]


async def test_message_of_its_own_that_is_not_taken_stalls_a_link_too() -> None:
    stage = Stage()
    stage.senders[0].is_full = True
    assert stage.flow.send_by(0, b"x") == 0
    stage.senders[0].is_full = False
    assert stage.flow.send(b"y") == 1
    assert stage.counters == {"bus_overflows": 1}


async def test_full_link_is_tried_until_it_takes_something() -> None:
    stage = Stage()
    stage.senders[0].is_full = True
    stage.flow.send(b"1")
    await wait_until(lambda: len(stage.tried) >= 3, "three tries")
    assert stage.taken[0] == []
    stage.senders[0].is_full = False
    await wait_until(lambda: stage.taken[0], "the end of it")
    assert stage.counters == {"bus_overflows": 1}  # one and the same overflow


async def test_link_is_tried_again_though_trying_sent_nothing_or_raised() -> None:
    stage = Stage()

    def fail(link: int) -> None:
        if len(stage.tried) < 2:
            return
        stage.when_tried = lambda link: stage.flow.send_by(link, b"again")
        raise RuntimeError("a bug")

    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context["exception"]))
    stage.when_tried = fail
    stage.senders[0].is_full = True
    stage.flow.send(b"1")
    stage.senders[0].is_full = False
    await wait_until(lambda: stage.taken[0], "the third try")
    assert stage.tried == [0, 0, 0]
    assert len(failures) == 1


async def test_full_link_that_is_lost_is_not_tried_again_and_flows_when_it_is_back() -> None:
    stage = Stage()
    for sender in stage.senders:
        sender.is_full = True
    stage.flow.send(b"1")
    stage.flow.remove(0)
    await wait_until(lambda: stage.tried, "the try of the other")
    assert set(stage.tried) == {1}
    stage.senders[0].is_full = False
    stage.flow.add(0, stage.senders[0])
    assert stage.flow.send(b"2") == 1
    assert stage.taken[0] == [b"2"]
    stage.flow.close()


async def test_lost_connection_is_no_overflow() -> None:
    stage = Stage()
    stage.senders[0].is_full = stage.senders[0].is_lost = True
    with capture_logs() as lines:
        assert stage.flow.send(b"1") == 1
    assert (stage.counters, lines) == ({}, [])
    stage.flow.close()


async def test_overflows_are_logged_with_their_link() -> None:
    stage = Stage()
    stage.senders[1].is_full = True
    with capture_logs() as lines:
        stage.flow.send(b"1")
    assert [(line["event"], line["link"], line["times"]) for line in lines] == [("bus_overflow", 1, 1)]
    stage.flow.close()
