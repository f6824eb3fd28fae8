"""Tests of `zmqio.zeromq.push_sockets`; `test_push` tests its use."""

import select

import pytest
import zmq

from tests.support.loopback_broker import running_broker
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S, wait_until
from zmqio.zeromq.push_sockets import PushSockets


@pytest.fixture
def context():
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


def test_nothing_is_accepted_without_a_broker(context):
    sockets = PushSockets(context, [f"tcp://127.0.0.1:{free_port_block(4)}"], 10)
    sockets.wait(0.01)
    assert not sockets.offer(b"x")
    sockets.close(0)


async def test_file_descriptor_becomes_readable_when_a_broker_accepts_messages(context):
    with running_broker() as broker:
        sockets = PushSockets(context, [broker.address], 10)
        (fd,) = sockets.fds
        while not sockets.offer(b"x"):
            assert select.select([fd], [], [], LIMIT_S)[0]
        await wait_until(lambda: broker.pushed == [b"x"], "the message")
        sockets.close(0)


def test_full_queue_accepts_nothing(context):
    with zmq.Context() as other, other.socket(zmq.PULL) as stalled:
        stalled.setsockopt(zmq.RCVHWM, 1)
        base = free_port_block(4)
        stalled.bind(f"tcp://127.0.0.1:{base + 3}")
        sockets = PushSockets(context, [f"tcp://127.0.0.1:{base}"], 10)
        while not sockets.offer(b"first"):
            sockets.wait(1)
        accepted = 0
        while sockets.offer(bytes(100_000)):
            accepted += 1
            assert accepted < 10_000
        sockets.close(0)
