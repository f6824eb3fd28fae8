"""Tests of `zmqio.compat.served_handlers`: how clients are admitted and leave."""

import gc
from typing import Any

import pytest

from tests.support.compat_harness import CompatServer
from tests.support.timing import wait_until
from zmqio import ConnectRefused
from zmqio.compat import ConnectionRefusedError as Refused


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (None, {"message": "Connection rejected by server"}),
        (Refused("no", {"code": 4}), {"message": "no", "data": {"code": 4}}),
        (ConnectRefused("no"), {"message": "no"}),
        (ConnectionRefusedError("hidden"), {"message": "Connection refused by server"}),
        (KeyError("hidden"), {"message": "Internal server error"}),
    ],
)
async def test_a_connect_handler_refuses(error: Exception | None, data: Any) -> None:
    async with CompatServer() as node:

        @node.sio.event
        async def connect(sid: str, environ: Any, auth: Any) -> bool:
            if error is not None:
                raise type(error)(*error.args)
            return False

        assert await node.refused() == data
        gc.collect()  # on some Pythons, the refusal's traceback still refers to the socket
        await wait_until(lambda: len(node.sio.sockets) == 0, "the end of the refused socket")


async def test_auth_is_none_without_one_and_may_be_omitted() -> None:
    async with CompatServer() as node:
        seen: list[Any] = []

        @node.sio.event
        def connect(sid: str, environ: Any, auth: Any) -> bool:
            seen.append(auth)
            return True

        node.sio.on("connect", lambda sid, environ: seen.append("omitted"), namespace="/old")
        for auth in (None, {}, {"token": 1}):
            await node.client(auth=auth)
        await node.client("/old", {"token": 1})
        assert seen == [None, None, {"token": 1}, "omitted"]


async def test_events_of_the_connect_handler_follow_the_connection() -> None:
    async with CompatServer() as node:

        @node.sio.event
        async def connect(sid: str, environ: Any) -> None:
            await node.sio.emit("hello", to=sid)

        client = await node.client()
        assert await client.wait() == ['2["hello"]']


async def test_always_connect_confirms_first_and_disconnects_a_refused_client() -> None:
    async with CompatServer(always_connect=True) as node:
        node.sio.on("connect", lambda sid, environ: False)
        client = await node.client()
        assert await client.wait() == ["1"]


async def test_reasons_have_the_names_of_python_engineio() -> None:
    async with CompatServer() as node:
        reasons: list[str] = []
        node.sio.on("disconnect", lambda sid, reason: reasons.append(reason))
        leaving, thrown_out, closed = [await node.client() for _ in range(3)]
        leaving.send("1")
        await wait_until(lambda: len(reasons) == 1, "the first")
        await node.sio.disconnect(thrown_out.sid)
        await wait_until(lambda: len(reasons) == 2, "the second")
        closed.leave()
        await wait_until(lambda: len(reasons) == 3, "the third")
        kinds = node.sio.reason
        assert reasons == [kinds.CLIENT_DISCONNECT, kinds.SERVER_DISCONNECT, kinds.TRANSPORT_CLOSE]
        last = await node.client()
    assert reasons[3:] == [kinds.SERVER_DISCONNECT]
    assert last.sid


async def test_a_socket_is_forgotten_with_its_client() -> None:
    async with CompatServer() as node:
        client = await node.client()
        assert list(node.sio.sockets) == [client.sid]
        client.leave()
        await wait_until(lambda: len(node.sio.sockets) == 0, "the socket's end")
