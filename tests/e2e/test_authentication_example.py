"""docs/authentication.md: its example refuses strangers and knows the users of all three ways."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import socketio

from tests.support.example_server import serve_example
from tests.support.pages import ROOT
from tests.support.timing import LIMIT_S

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def url() -> AsyncIterator[str]:
    async with serve_example(ROOT / "examples" / "authentication") as url:
        yield url


async def test_token_cookie_and_header_name_the_user(url: str) -> None:
    for options, user in (
        ({"auth": {"token": "token-of-ada"}}, "ada"),
        ({"headers": {"Cookie": "a=b; session=session-of-bob"}}, "bob"),
        ({"headers": {"X-Api-Key": "key-of-eve"}}, "eve"),
    ):
        async with socketio.AsyncSimpleClient(reconnection=False) as client:
            await client.connect(url, transports=["websocket"], wait_timeout=LIMIT_S, **options)
            assert await client.call("who am i", timeout=LIMIT_S) == user


@pytest.mark.parametrize("options", [{}, {"auth": {"token": "wrong"}}, {"auth": {"token": [1]}}])
async def test_strangers_are_refused(url: str, options: dict[str, object]) -> None:
    client = socketio.AsyncClient(reconnection=False)
    refused: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    client.on("connect_error", refused.set_result)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(url, transports=["websocket"], wait_timeout=LIMIT_S, **options)
    assert await asyncio.wait_for(refused, LIMIT_S) == {
        "message": "unauthorized",
        "data": {"hint": "send a token"},
    }
