"""Tests of `zmqio.zeromq.push`."""

import asyncio
import os
import threading
from functools import partial

import pytest

from tests.support.http_server import web_servers
from tests.support.loopback_broker import LoopbackBroker, running_broker
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S, wait_until
from zmqio.exceptions import BusUnavailableError, ConfigError
from zmqio.zeromq.push import AsyncPush, Push

PATIENT = {"send_timeout_s": LIMIT_S, "linger_s": LIMIT_S}
KINDS = [pytest.param(partial(kind, **PATIENT), id=kind.__name__) for kind in (Push, AsyncPush)]


def nowhere() -> str:
    """An address without a listener."""
    return f"tcp://127.0.0.1:{free_port_block(4)}"


async def send(push, frame: bytes) -> None:
    await (push.send(frame) if isinstance(push, AsyncPush) else asyncio.to_thread(push.send, frame))


async def close(push) -> None:
    await (push.close() if isinstance(push, AsyncPush) else asyncio.to_thread(push.close))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("addresses", [[], ["nonsense"]])
def test_missing_and_malformed_addresses_are_rejected_at_once(kind, addresses):
    with pytest.raises(ConfigError):
        kind(addresses)


@pytest.mark.parametrize("kind", KINDS)
async def test_messages_arrive_in_order_and_close_waits_for_them(kind):
    with running_broker() as broker:
        push = kind([broker.address])
        for number in range(200):
            await send(push, b"%d" % number)
        await close(push)
        await wait_until(lambda: len(broker.pushed) == 200, "all messages")
        assert broker.pushed == [b"%d" % number for number in range(200)]


@pytest.mark.parametrize("kind", KINDS)
async def test_missing_broker_is_an_error_with_address_and_time_out(kind):
    address = nowhere()
    push = kind([address], send_timeout_s=0.05)
    with pytest.raises(BusUnavailableError, match=rf"0\.05 s.*{address}"):
        await send(push, b"x")
    await close(push)


@pytest.mark.parametrize("kind", KINDS)
async def test_message_waits_for_a_broker_that_starts_in_time(kind):
    broker = LoopbackBroker(free_port_block(4))
    push = kind([broker.address], send_timeout_s=LIMIT_S)
    sending = asyncio.create_task(send(push, b"x"))
    await asyncio.sleep(0.05)
    broker.start()
    await sending
    await wait_until(lambda: broker.pushed == [b"x"], "the message")
    await close(push)
    broker.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_every_connected_broker_gets_the_message_and_a_missing_one_is_no_error(kind):
    with running_broker() as one, running_broker() as two:
        push = kind([one.address, nowhere(), two.address])

        async def both_have_one() -> None:
            while not (one.pushed and two.pushed):
                await send(push, b"x")
                await asyncio.sleep(0.01)

        await asyncio.wait_for(both_have_one(), LIMIT_S)
        await close(push)


@pytest.mark.parametrize("kind", KINDS)
async def test_closed_push_reconnects_on_the_next_send(kind):
    with running_broker() as broker:
        push = kind([broker.address])
        await close(push)
        for frame in (b"1", b"2"):
            await send(push, frame)
            await close(push)
        await wait_until(lambda: broker.pushed == [b"1", b"2"], "both messages")


async def test_waiting_for_a_broker_does_not_block_the_loop():
    push = AsyncPush([nowhere()], send_timeout_s=LIMIT_S)
    sending = asyncio.create_task(push.send(b"x"))
    for _ in range(10):
        await asyncio.sleep(0.01)
    assert not sending.done()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await push.close()


async def test_many_tasks_can_send_concurrently():
    with running_broker() as broker:
        push = AsyncPush([broker.address], **PATIENT)
        await asyncio.gather(*(push.send(b"%d" % number) for number in range(100)))
        await wait_until(lambda: len(broker.pushed) == 100, "all messages")
        assert broker.pushed == [b"%d" % number for number in range(100)]
        await push.close()


def test_many_threads_can_send_concurrently():
    with running_broker() as broker:
        push = Push([broker.address], **PATIENT)

        def send_fifty(name: int) -> None:
            for number in range(50):
                push.send(b"%d-%d" % (name, number))

        threads = [threading.Thread(target=send_fifty, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        push.close()
        asyncio.run(wait_until(lambda: len(broker.pushed) == 400, "all messages"))
        for name in range(8):
            own = [frame for frame in broker.pushed if frame.startswith(b"%d-" % name)]
            assert own == [b"%d-%d" % (name, number) for number in range(50)]


def test_both_sides_of_a_fork_can_send():
    with running_broker() as broker:
        push = Push([broker.address], **PATIENT)
        push.send(b"before")
        pid = os.fork()
        if pid == 0:
            push.send(b"child")
            push.close()
            os._exit(0)
        push.send(b"parent")
        os.waitpid(pid, 0)
        asyncio.run(wait_until(lambda: len(broker.pushed) == 3, "all messages"))
        assert set(broker.pushed) == {b"before", b"child", b"parent"}
        push.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_message_is_not_sent_to_a_web_server_but_to_the_broker_that_replaces_it(kind):
    base = free_port_block(4)
    broker = LoopbackBroker(base)
    push = kind([broker.address], send_timeout_s=LIMIT_S)
    with web_servers(base, 4) as accepted:
        sending = asyncio.create_task(send(push, b"x"))
        await wait_until(lambda: accepted, "a connection")
        assert not sending.done()
    broker.start()
    await sending
    await wait_until(lambda: broker.pushed == [b"x"], "the message")
    await close(push)
    broker.stop()
