"""Tests of `zmqio.python_socketio.namespace`."""

import asyncio

import pytest

from tests.support.psio_harness import ManagedServer


async def test_a_namespace_opens_on_its_first_use() -> None:
    async with ManagedServer() as node:
        chat = node.manager.cluster("/chat")
        assert (chat.is_open, chat.occupied, repr(chat)) == (False, False, "<ManagerNamespace /chat>")
        with pytest.raises(RuntimeError, match="has not started"):
            chat.server_count()
        with pytest.raises(RuntimeError, match="has not started"):
            _ = chat.sockets
        await chat.emit("hello")
        assert (chat.is_open, chat.server_count()) == (True, 1)
        await node.connect("eio", "/chat")
        assert chat.occupied


async def test_another_thread_is_refused_with_the_way_out() -> None:
    async with ManagedServer() as node:
        await node.manager.cluster().emit("hello")
        with pytest.raises(RuntimeError, match="write_only=True"):
            await asyncio.to_thread(asyncio.run, node.sio.emit("hello"))
