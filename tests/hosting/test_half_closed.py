"""Requests of clients that have closed their sending side (with a connection: `test_http_protocol`)."""

import asyncio
from types import SimpleNamespace

from zmqio.hosting.half_closed import HalfClosedMessageEvent, answer_half_closed


def cycle(**state: bool) -> SimpleNamespace:
    fields = {"response_complete": False, "more_body": False, "keep_alive": True, "disconnected": False}
    return SimpleNamespace(**fields | state, message_event=asyncio.Event())


async def test_event_of_a_half_closed_client_disconnects_at_the_second_read() -> None:
    disconnects: list[bool] = []
    event = HalfClosedMessageEvent(unread=True, on_disconnect=lambda: disconnects.append(True))
    assert event.is_set()
    assert await event.wait()
    assert not disconnects
    event.clear()
    assert not event.is_set()
    assert await event.wait()
    assert disconnects == [True]


async def test_event_of_a_request_that_has_ended_disconnects_nobody() -> None:
    disconnects: list[bool] = []
    event = HalfClosedMessageEvent(unread=False, on_disconnect=lambda: disconnects.append(True))
    event.set()
    assert not event.is_set()
    assert await event.wait()
    assert not disconnects


async def test_only_the_last_request_ends_its_connection() -> None:
    for is_last in (True, False):
        current, closed = cycle(), []
        assert answer_half_closed(current, lambda closed=closed: closed.append(True), is_last=is_last)
        assert current.keep_alive is not is_last
        await current.message_event.wait()
        assert current.disconnected
        assert closed


def test_request_that_is_answered_or_incomplete_is_left_alone() -> None:
    for current in (None, cycle(response_complete=True), cycle(more_body=True)):
        assert not answer_half_closed(current, lambda: None)
