"""The body of one request: complete within its limits of size and time, or an error."""

import asyncio
from typing import Any

import pytest

from tests.support.asgi import FakeHttp, http
from tests.support.timing import LIMIT_S
from zmqio.config import EngineOptions
from zmqio.engine.handshake import read_request
from zmqio.engine.http_exchange import Exchange
from zmqio.engine.request_body import BodyTimeoutError, BodyTooLargeError, ClientGoneError, RequestBody


class _BodyApp:
    """Reads the body, keeps the error, and echoes."""

    def __init__(self, limit: int, **options: Any) -> None:
        self.body = RequestBody(EngineOptions(max_payload_bytes=limit, **options))
        self.error: Exception | None = None
        self.closes = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        exchange = Exchange(read_request(scope), receive, send, ())
        try:
            await exchange.answer_text(await self.body.read(exchange))
        except (BodyTimeoutError, BodyTooLargeError, ClientGoneError) as error:
            self.error = error
        self.closes = exchange.closes


class _Trickle(FakeHttp):
    """A POST whose body never ends; `more` sends a part of it."""

    def __init__(self, app: _BodyApp) -> None:
        super().__init__(app, "POST", "", endless=True)

    def more(self, chunk: bytes) -> None:
        self._events.put_nowait({"type": "http.request", "body": chunk, "more_body": True})


async def test_body_in_pieces_is_joined() -> None:
    answer = await http(_BodyApp(10), "POST", "", body=[b"ab", b"", b"cd"])
    assert answer.body == b"abcd"


async def test_body_of_exactly_the_limit_is_read() -> None:
    assert (await http(_BodyApp(4), "POST", "", body=[b"ab", b"cd"])).body == b"abcd"


async def test_body_over_the_limit_is_an_error_as_soon_as_it_is_over() -> None:
    app = _BodyApp(3)
    await http(app, "POST", "", body=[b"ab", b"cd", b"ef"])
    assert isinstance(app.error, BodyTooLargeError)


async def test_announced_length_over_the_limit_is_an_error_before_reading() -> None:
    app = _BodyApp(3)
    await http(app, "POST", "", body=b"ab", headers={"content-length": "4"})
    assert isinstance(app.error, BodyTooLargeError)


async def test_body_that_breaks_off_is_an_error() -> None:
    app = _BodyApp(3)
    await FakeHttp(app, "POST", "", body=b"ab", breaks_off=True)
    assert isinstance(app.error, ClientGoneError)


async def test_body_without_end_is_an_error_when_its_time_is_over() -> None:
    app = _BodyApp(100, body_timeout_s=0.01)
    post = _Trickle(app)
    post.more(b"a")
    await post
    assert isinstance(app.error, BodyTimeoutError)
    assert app.closes


async def test_bytes_that_arrive_extend_the_time() -> None:
    app = _BodyApp(100, body_timeout_s=0.01, body_min_bytes_per_s=1)
    post = _Trickle(app)
    post.more(b"x" * 50)  # 50 s more
    await asyncio.wait([post.task], timeout=0.1)
    assert not post.task.done()
    app.body.abort()
    await post
    assert isinstance(app.error, BodyTimeoutError)


@pytest.mark.parametrize("chunks", [0, 1, 2])
async def test_abort_ends_the_reading_at_once(chunks: int) -> None:
    app = _BodyApp(100)
    post = _Trickle(app)
    await asyncio.sleep(0)
    for _ in range(chunks):
        post.more(b"ab")
    app.body.abort()
    async with asyncio.timeout(LIMIT_S):
        await post
    assert isinstance(app.error, BodyTimeoutError)


async def test_abort_when_the_time_is_just_over_does_nothing() -> None:
    app = _BodyApp(100, body_timeout_s=0.01)
    post = _Trickle(app)
    asyncio.get_running_loop().call_later(0.01, app.body.abort)
    await post
    app.body.abort()
    assert isinstance(app.error, BodyTimeoutError)
