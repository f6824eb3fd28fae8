"""Tests of `zmqio.compat.async_namespace`."""

import json
from typing import Any

import pytest

from tests.support.compat_harness import CompatServer
from tests.support.timing import wait_until
from zmqio.compat import AsyncNamespace
from zmqio.exceptions import ConfigError


class Chat(AsyncNamespace):
    """A namespace with every operation."""

    gone: list[Any]

    async def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        await self.enter_room(sid, "lobby")
        async with self.session(sid) as session:
            session["name"] = environ["HTTP_X_NAME"]

    def on_disconnect(self, sid: str) -> None:
        self.gone = [sid]

    async def on_say(self, sid: str, text: str) -> list[str]:
        session = await self.get_session(sid)
        await self.emit("said", (session["name"], text), room="lobby", skip_sid=sid)
        await self.send("sent", to=sid)
        await self.save_session(sid, {"name": "other"})
        return self.rooms(sid)

    async def on_ask(self, sid: str) -> Any:
        return await self.call("question", 1, to=sid)

    async def on_end(self, sid: str) -> None:
        await self.leave_room(sid, "lobby")
        await self.close_room("lobby")
        await self.disconnect(sid)


async def test_methods_handle_events_and_operate_on_their_namespace() -> None:
    async with CompatServer() as node:
        chat = Chat("/chat")
        node.sio.register_namespace(chat)
        one, two = [await node.client("/chat", **{"x-name": name}) for name in ("ann", "bob")]
        one.send('21["say","hi"]')
        rooms = json.dumps(sorted([one.sid, "lobby"]), separators=(",", ":"))
        assert await one.wait(2) == ['2["message","sent"]', f"31[{rooms}]"]
        assert await two.wait() == ['2["said","ann","hi"]']
        assert await chat.get_session(one.sid) == {"name": "other"}
        two.send('22["ask"]')
        assert (await two.wait())[0].endswith('["question",1]')


async def test_the_client_that_is_disconnected_by_its_handler() -> None:
    async with CompatServer() as node:
        chat = Chat("/chat")
        node.sio.register_namespace(chat)
        one = await node.client("/chat", **{"x-name": "ann"})
        one.send('2["end"]')
        assert await one.wait() == ["1"]
        await wait_until(lambda: getattr(chat, "gone", None) == [one.sid], "the disconnect handler")


async def test_trigger_event_may_be_overridden() -> None:
    class Logged(AsyncNamespace):
        seen: list[Any]

        async def trigger_event(self, event: str, *args: Any) -> Any:
            self.seen.append((event, len(args)))
            return await super().trigger_event(event, *args)

        def on_connect(self, sid: str, environ: Any) -> None: ...

        def on_disconnect(self, sid: str) -> None: ...

        def on_sum(self, sid: str, a: int, b: int) -> int:
            return a + b

    async with CompatServer() as node:
        logged = Logged()
        logged.seen = []
        node.sio.register_namespace(logged)
        client = await node.client()
        client.send('21["sum",1,2]')
        assert await client.wait() == ["31[3]"]
        client.leave()
        await wait_until(lambda: len(logged.seen) == 3, "the disconnect")
        assert logged.seen == [("connect", 3), ("sum", 3), ("disconnect", 2)]


async def test_an_object_for_all_namespaces_receives_their_names() -> None:
    class Everywhere(AsyncNamespace):
        async def on_where(self, namespace: str, sid: str) -> str:
            return namespace

    async with CompatServer(namespaces="*") as node:
        node.sio.register_namespace(Everywhere("*"))
        client = await node.client("/any")
        client.send('21["where"]')
        assert await client.wait() == ['31["/any"]']


def test_an_object_that_is_not_registered_has_no_server() -> None:
    with pytest.raises(ConfigError, match="Chat is not registered"):
        Chat("/chat").server  # noqa: B018
