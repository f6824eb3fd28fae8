"""examples/compat: the chat on python-socketio, and the same with other imports on two nodes of zmqio."""

import re
from contextlib import AsyncExitStack
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests.support.broker import BrokerProcess
from tests.support.clients import ConnectFailed
from tests.support.js_clients import JsClient, JsClients
from tests.support.served import Served
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "compat"
PAGE = ROOT / "docs" / "from-python-socketio.md"


def load(name: str) -> ModuleType:
    """A new copy of a module of the example."""
    spec = spec_from_file_location(name, EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_only_the_import_differs_and_the_page_shows_the_result() -> None:
    texts = {name: (EXAMPLE / f"chat_{name}.py").read_text() for name in ("before", "after")}
    codes = [re.sub(r'^""".*|^import socketio\n|^from zmqio .*', "", text, flags=re.M) for text in texts.values()]
    assert codes[0].split() == codes[1].split()
    assert f"<!-- file: chat_after.py -->\n```python\n{texts['after']}```" in PAGE.read_text()


async def use(urls: list[str], js: JsClients, stack: AsyncExitStack) -> list[Any]:
    """What two clients of the chat see, without session ids."""
    with pytest.raises(ConnectFailed) as refused:
        await js.client(urls[0], "websocket").connect()
    clients: list[JsClient] = []
    for number, name in enumerate(("ann", "bob")):
        client = js.client(urls[number], "websocket", auth={"name": name})
        chat = js.client("", namespace="/chat", shares=client, auth={"name": name})
        for each in (client, chat):
            stack.push_async_callback(each.end)
            await each.connect()
        clients += [client, chat]
    ann, ann_chat, _, bob_chat = clients
    async with httpx.AsyncClient(timeout=LIMIT_S) as http:
        response = await http.post(f"{urls[1]}/announce?text=hello")
    seen: list[Any] = [refused.value.message, response.json(), await ann.wait_for("announcement")]
    seen += [await ann.call("whoami"), await ann_chat.call("join", "tea"), await bob_chat.call("join", "tea")]
    seen.append(await ann_chat.wait_for("joined"))
    await bob_chat.emit("say", "tea", "hi")
    seen += [await ann_chat.wait_for("said"), await bob_chat.wait_for("said")]
    seen.append(await ann_chat.call("quiz", bob_chat.sid))
    await bob_chat.disconnect()
    seen.append(await ann_chat.wait_for("left"))
    return seen


async def test_both_behave_alike(
    own_broker: BrokerProcess, js: JsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        before = await stack.enter_async_context(Served(load("chat_before").app))
        expected = await use([before.url] * 2, js, stack)
    monkeypatch.setenv("ZMQIO_ADAPTER", own_broker.address)
    nodes = [load("chat_after") for _ in range(2)]
    async with AsyncExitStack() as stack:
        served = [await stack.enter_async_context(Served(node.app)) for node in nodes]
        await wait_until(lambda: all(node.sio.io.server_count() == 2 for node in nodes), "two nodes")
        found = await use([node.url for node in served], js, stack)
    assert (
        found
        == expected
        == [
            "a name is required",
            {"announced": "hello"},
            [["hello"]],
            "ann",
            ["tea"],
            ["tea"],
            [[{"name": "bob"}, "tea"]],
            [[{"by": "bob", "text": "hi"}]],
            [[{"by": "bob", "text": "hi"}]],
            "What is 6 times 7?",
            [["bob"]],
        ]
    )
