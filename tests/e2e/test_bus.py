"""A bus on a real broker: nothing published after a barrier is missed, and limits are reported."""

import asyncio
import os
import threading
from pathlib import Path

from tests.support.broker import BrokerProcess
from tests.support.bus_events import RecordedEvents, running_bus
from tests.support.malformed import malformed_bus_messages
from tests.support.timing import wait_until
from zmqio.zeromq.bus import ZmqBus

ALL = b"zmqio/a/\0"
TRIALS = 300
ROOMS = 5_000


def room(number: int | str) -> bytes:
    return f"zmqio/r//\0room {number}\0".encode()


class Resuming(RecordedEvents):
    """Announces the gap once a link is writable again, as a node does."""

    def __init__(self) -> None:
        super().__init__()
        self.bus: ZmqBus | None = None

    def link_writable(self, link: int) -> None:
        super().link_writable(link)
        if self.bus is not None:
            self.bus.publish(ALL, b"again", link=link)


async def publishing(bus: ZmqBus, topic: bytes, body: bytes) -> None:
    """Publish; if the queue is full, try again later."""
    if not bus.publish(topic, body):
        await wait_until(lambda: bus.publish(topic, body), "the broker takes it")


async def test_message_published_after_the_barrier_is_never_missed():
    async with (
        BrokerProcess() as broker,
        running_bus(broker.address) as (joiner, received),
        running_bus(broker.address) as (speaker, _),
    ):
        for trial in range(TRIALS):
            await joiner.subscribe([room(trial)])
            speaker.publish(room(trial), b"%d" % trial)
        await joiner.subscribe([ALL])
        speaker.publish(ALL, b"end")
        await wait_until(lambda: received.bodies[-1:] == [b"end"], "the end")
        assert received.bodies[:-1] == [b"%d" % trial for trial in range(TRIALS)]


async def test_thousands_of_subscriptions_apply_before_and_after_a_broker_restart():
    async with (
        BrokerProcess() as broker,
        running_bus(broker.address) as (joiner, received),
        running_bus(broker.address, events=Resuming()) as (speaker, spoke),
    ):
        spoke.bus = speaker
        await joiner.subscribe(room(number) for number in range(ROOMS))
        for times in (1, 2):
            for number in range(ROOMS):
                await publishing(speaker, room(number), b"%d" % number)
            await wait_until(lambda expected=ROOMS: len(received.messages) == expected, "a message in every room")
            assert received.bodies == [b"%d" % number for number in range(ROOMS)]
            received.messages.clear()
            if times == 1:
                await broker.restart_async()
                for events in (received, spoke):
                    await wait_until(
                        lambda events=events: (
                            events.changes == [("link_connected", 0), ("link_lost", 0), ("link_connected", 0)]
                        ),
                        "back",
                    )


async def test_full_link_rejects_messages_until_one_sent_on_it_alone_is_accepted():
    async with (
        BrokerProcess() as broker,
        running_bus(broker.address, events=Resuming(), publish_queue_messages=100) as (bus, recorded),
    ):
        recorded.bus = bus
        await bus.subscribe([ALL])
        broker.pause()
        try:
            sent = 0
            while bus.publish(ALL, bytes(100_000)):
                sent += 1
            assert sent >= 100
            assert bus.counters["bus_queue_overflows"] == 1
            assert bus.publish(ALL, b"left out") == 0
        finally:
            broker.resume()
        await publishing(bus, ALL, b"last")
        await wait_until(lambda: b"last" in recorded.bodies, "the message")
        assert recorded.bodies[-2:] == [b"again", b"last"]
        assert len(recorded.bodies) == sent + 2


async def test_malformed_messages_of_a_publisher_do_not_stop_the_bus():
    async with (
        BrokerProcess() as broker,
        running_bus(broker.address) as (rude, _),
        running_bus(broker.address) as (polite, recorded),
    ):
        await polite.subscribe([b""])
        for frames in malformed_bus_messages().values():
            rude.publish(b"".join(frames), b"")
        rude.publish(ALL, b"good")
        await wait_until(lambda: b"good" in recorded.bodies, "the good message")
        assert polite.counters["bus_message_malformed"] > 0


async def test_ipc_address_works(tmp_path: Path):
    address = f"ipc://{tmp_path / 'bus'}"
    async with BrokerProcess(address=address), running_bus(address) as (bus, recorded):
        await bus.subscribe([ALL])
        bus.publish(ALL, b"x")
        await wait_until(lambda: recorded.bodies == [b"x"], "the message")


async def test_subscribe_does_not_wait_for_a_dead_second_broker():
    async with BrokerProcess() as living, BrokerProcess() as dying:
        # A barrier timeout that would run into the test's time limit.
        options = {"barrier_timeout_s": 10_000.0}
        async with running_bus(living.address, dying.address, **options) as (bus, recorded):
            await bus.subscribe([room("before")])
            await asyncio.to_thread(dying.kill)
            # From before to after the moment at which the loss is noticed.
            while ("link_lost", 1) not in recorded.changes:
                await bus.subscribe([room("during")])
            await bus.subscribe([room("after")])
            bus.publish(room("after"), b"x")
            await wait_until(lambda: recorded.bodies == [b"x"], "the message")
            await asyncio.to_thread(dying.start)
            await wait_until(lambda: bus.connected_links == {0, 1}, "both again")


async def test_forked_child_creates_its_own_bus():
    async with BrokerProcess() as broker, running_bus(broker.address) as (bus, recorded):
        await bus.subscribe([ALL])
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = _publishes_in_child(broker.address)
            finally:
                os._exit(code)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert status == 0
        await wait_until(lambda: recorded.bodies == [b"from the child"], "the child's message")
        bus.publish(ALL, b"from the parent")
        await wait_until(lambda: len(recorded.bodies) == 2, "the parent's message")


def _publishes_in_child(address: str) -> int:
    async def publish() -> None:
        async with running_bus(address) as (bus, _):
            bus.publish(ALL, b"from the child")

    # The parent's loop counts as running in this thread; a thread of the child's own has none.
    failed = []

    def run() -> None:
        try:
            asyncio.run(publish())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return len(failed)
