"""Tests of `zmqio.python_socketio.outside`: managers of processes that are no node."""

import asyncio
from typing import Any

import pytest

from tests.support.loopback_broker import running_broker
from zmqio.config import BusOptions
from zmqio.emitter import BroadcastOperator
from zmqio.protocol.publish import Operation, PublishRequest
from zmqio.python_socketio.outside import EmitterSource, OutsideOperations


def recorded() -> tuple[OutsideOperations[None], list[PublishRequest]]:
    sent: list[PublishRequest] = []
    return OutsideOperations(lambda: BroadcastOperator(sent.append, PublishRequest())), sent


def emit(operations: OutsideOperations[None], data: Any = None, **given: Any) -> None:
    values = {"room": None, "skip_sid": None, "callback": None, **given}
    operations.emit("news", data, given.pop("namespace", None), **values)


def test_every_operation_is_a_request() -> None:
    operations, sent = recorded()
    emit(operations, (1, b"2"), room=["a", 7], skip_sid="x")
    operations.emit("news", None, "/chat", room=None, skip_sid=None, callback=None)
    operations.enter_room("sid", None, "a")
    operations.leave_room("sid", "/chat", 7)
    operations.close_room("a", None)
    operations.disconnect("sid", None)
    assert (sent[0].namespace, sent[0].args, sent[0].except_) == ("/", (1, b"2"), ("x",))
    assert set(sent[0].rooms or ()) == {"a", "7"}
    assert (sent[1].namespace, sent[1].rooms, sent[1].args) == ("/chat", None, ())
    assert [(one.op, one.namespace, one.rooms, one.names) for one in sent[2:]] == [
        (Operation.JOIN, "/", ("sid",), ("a",)),
        (Operation.LEAVE, "/chat", ("sid",), ("7",)),
        (Operation.LEAVE, "/", ("a",), ("a",)),
        (Operation.DISCONNECT, "/", ("sid",), ()),
    ]


def test_a_callback_is_refused_as_by_python_socketio() -> None:
    operations, sent = recorded()
    with pytest.raises(RuntimeError, match="Callbacks can only be issued from the context of a server"):
        emit(operations, callback=print)
    assert sent == []


def test_one_source_serves_one_event_loop_after_the_other() -> None:
    with running_broker() as broker:
        source = EmitterSource(broker.address, BusOptions(prefix="shop"), None)

        async def publish() -> None:
            emitter = source.async_emitter()
            assert source.async_emitter() is emitter
            await emitter.emit("news")
            await emitter.flush()
            await emitter.close()

        asyncio.run(publish())
        asyncio.run(publish())
        with source.emitter() as emitter:
            emitter.emit("news")
            emitter.flush()
        assert len(broker.pushed) == 3
        assert all(frame.startswith(b"shop/") for frame in broker.pushed)
