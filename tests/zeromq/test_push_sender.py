"""Tests of `zmqio.zeromq.push_sender`; those of the emitters run it with a broker."""

from itertools import islice

import pytest

from tests.support.loopback_broker import running_broker
from zmqio.exceptions import RequestTimeoutError
from zmqio.zeromq.push_sender import AsyncPushSender, PushSender, flush_pauses_s, flush_timeout, make_flush

OPTIONS = {"send_timeout_s": 20.0, "close_timeout_s": 20.0, "queue_messages": 10}


def test_flush_returns_when_the_broker_has_all_frames() -> None:
    with running_broker() as broker:
        sender = PushSender((broker.address,), **OPTIONS)  # type: ignore[arg-type]
        sender.send(b"frame")
        sender.flush(20)
        sender.close()


async def test_asynchronous_flush_returns_when_the_broker_has_all_frames() -> None:
    with running_broker() as broker:
        sender = AsyncPushSender((broker.address,), **OPTIONS)  # type: ignore[arg-type]
        await sender.send(b"frame")
        await sender.flush(20)
        await sender.close()


def test_flush_that_no_broker_confirms_is_an_error() -> None:
    with running_broker(confirms=False) as broker:
        sender = PushSender((broker.address,), **OPTIONS)  # type: ignore[arg-type]
        with pytest.raises(RequestTimeoutError, match="confirmed no flush message"):
            sender.flush(0.05)
        sender.close()


def test_flush_message_has_a_token_of_its_own() -> None:
    frame, token = make_flush()
    assert frame == b"\xffflush-" + token
    assert len(token) == 16
    assert make_flush()[1] != token


def test_flush_pauses_grow_up_to_a_limit() -> None:
    pauses = list(islice(flush_pauses_s(), 20))
    assert pauses == sorted(pauses)
    assert pauses[0] > 0
    assert pauses[-1] == pauses[-2]


def test_flush_timeout_names_address_and_time() -> None:
    error = flush_timeout(("tcp://a:5555", "tcp://b:5555"), 2.5)
    assert isinstance(error, RequestTimeoutError)
    assert "tcp://a:5555, tcp://b:5555" in str(error)
    assert "2.5 s" in str(error)
