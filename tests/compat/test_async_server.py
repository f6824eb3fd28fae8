"""Tests of `zmqio.compat.async_server`."""

import asyncio
from typing import Any

import pytest

from tests.support.asgi import http
from tests.support.compat_harness import CompatServer
from tests.support.timing import wait_until
from zmqio.compat import AsyncNamespace, AsyncServer


async def test_handlers_are_registered_in_every_way_of_python_socketio() -> None:
    async with CompatServer() as node:
        sio = node.sio

        @sio.event
        def one(sid: str) -> int:
            return 1

        @sio.event(namespace="/chat")
        async def two(sid: str, value: Any) -> Any:
            return value, 2

        @sio.on("with space")
        async def three(sid: str) -> int:
            return 3

        assert sio.on("four", lambda sid: 4, "/chat") is None
        sio.on("*", lambda event, sid, *args: [event, *args])
        client, chat = await node.client(), await node.client("/chat")
        for event, answer in (("one", "[1]"), ("with space", "[3]"), ("other", '[["other"]]')):
            client.send(f'25["{event}"]')
            assert await client.wait() == [f"35{answer}"]
        chat.send('20["two","v"]')
        assert await chat.wait() == ['30["v",2]']
        chat.send('21["four"]')
        assert await chat.wait() == ["31[4]"]


async def test_events_without_a_handler_are_counted_and_not_acknowledged() -> None:
    async with CompatServer() as node:
        node.sio.on("one", lambda sid, value: value)
        client = await node.client()
        for text in ('21["nothing"]', '23["*"]', '24["one"]', '25["one",1]'):
            client.send(text)
        assert await client.wait() == ["35[1]"]
        counters = node.sio.io.health().details["counters"]["server"]
        assert (counters["events_unhandled"], counters["events_mismatched"]) == (2, 1)


async def test_only_namespaces_with_handlers_and_named_ones_are_served() -> None:
    async with CompatServer(namespaces=["/a"]) as node:
        assert await node.refused("/") == {"message": "Unable to connect"}
        await node.refused("/b")
        await node.client("/a")
        node.sio.register_namespace(AsyncNamespace("/b"))
        await node.client("/b")


async def test_handlers_of_all_namespaces_receive_their_names() -> None:
    async with CompatServer(namespaces="*") as node:
        seen: list[Any] = []
        node.sio.on("connect", lambda namespace, sid, environ: seen.append(namespace), namespace="*")
        node.sio.on("x", lambda namespace, sid, value: (namespace, value), namespace="*")
        node.sio.on("x", lambda sid, value: value, namespace="/own")
        for namespace, answer in (("/any", '["/any",1]'), ("/own", "[1]"), ("/", '["/",1]')):
            client = await node.client(namespace)
            client.send('21["x",1]')
            assert await client.wait() == [f"31{answer}"]
        assert seen == ["/any", "/own", "/"]


async def test_background_tasks_end_with_the_server() -> None:
    async with CompatServer() as node:
        ticks: list[int] = []

        async def tick(first: int, *, step: int) -> None:
            while True:
                ticks.append(first + step)
                await node.sio.sleep(0)

        task = node.sio.start_background_task(tick, 1, step=2)
        await wait_until(lambda: len(ticks) > 2, "ticks")
    assert task.cancelled()


async def test_a_background_task_may_shut_the_server_down() -> None:
    node = CompatServer()
    await node.sio.start()
    await node.sio.start_background_task(node.sio.shutdown)
    assert not node.sio.io.running


async def test_handle_request_serves_any_path() -> None:
    async with CompatServer() as node:
        answer = await http(node.sio.handle_request, "GET", "EIO=4&transport=polling", path="/anything/")
        assert answer.status == 200
        assert '"sid"' in answer.text


async def test_async_handlers_decides_whether_events_overtake_each_other() -> None:
    for concurrent, answers in ((True, ["32[2]", "31[1]"]), (False, ["31[1]", "32[2]"])):
        async with CompatServer(async_handlers=concurrent) as node:
            second = asyncio.Event()

            async def one(sid: str, second: asyncio.Event = second, wait: bool = concurrent) -> int:
                if wait:
                    await second.wait()
                return 1

            def two(sid: str, second: asyncio.Event = second) -> int:
                second.set()
                return 2

            node.sio.on("one", one)
            node.sio.on("two", two)
            client = await node.client()
            client.send('21["one"]')
            client.send('22["two"]')
            assert await client.wait(2) == answers


def test_only_objects_of_this_module_are_registered() -> None:
    with pytest.raises(TypeError, match=r"is not an AsyncNamespace of zmqio\.compat"):
        AsyncServer().register_namespace(object())  # type: ignore[arg-type]


async def test_the_admin_page_shows_clients() -> None:
    node = CompatServer()
    admin = node.sio.instrument(auth={"username": "ops", "password": "a secret"}, read_only=True, server_id="s1")
    async with node:
        assert (await node.refused("/admin", {"username": "ops", "password": "wrong"}))["message"] != ""
        page = await node.client("/admin", {"username": "ops", "password": "a secret"})
        client = await node.client()
        await wait_until(lambda: client.sid in str(page.packets), "the client in the page")
    await admin.shutdown()
