"""`Runtime`: shared parts, and the check of the event loop."""

import asyncio
import threading

import pytest
from structlog.testing import capture_logs

from tests.support.fake_engine import Harness


async def test_each_runtime_has_its_own_fanout_and_tasks() -> None:
    harness = Harness()
    other = Harness()
    assert harness.runtime.fanout is not other.runtime.fanout
    assert harness.runtime.tasks is not other.runtime.tasks
    assert not harness.runtime.fanout.busy


async def test_use_from_another_thread_raises_and_names_the_emitter() -> None:
    harness = Harness()
    harness.runtime.check_loop()
    caught: list[BaseException] = []

    async def elsewhere() -> None:
        with pytest.raises(RuntimeError, match=r"zmqio\.Emitter") as error:
            harness.runtime.check_loop()
        caught.append(error.value)

    thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert len(caught) == 1


def test_use_from_another_loop_of_the_same_thread_raises() -> None:
    async def make() -> Harness:
        return Harness()

    async def elsewhere(harness: Harness) -> None:
        with pytest.raises(RuntimeError, match=r"zmqio\.Emitter"):
            harness.runtime.check_loop()

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    second.run_until_complete(elsewhere(first.run_until_complete(make())))
    first.close()
    second.close()


async def test_tuple_as_the_only_value_is_sent_as_a_list_and_noted_once() -> None:
    harness = Harness()
    _, session = await harness.connected()
    with capture_logs() as logs:
        for _ in range(2):
            await harness.of("/").emit("pair", (1, 2))
        await harness.of("/").emit("pair", 1, (2, 3))
    assert session.sent[1:] == ['2["pair",[1,2]]'] * 2 + ['2["pair",1,[2,3]]']
    assert [(entry["event"], entry["event_name"]) for entry in logs] == [("tuple_sent_as_list", "pair")]
