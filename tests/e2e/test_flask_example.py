"""examples/flask: the chat on Flask-SocketIO alone, and the same with zmqio's manager on two nodes."""

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.broker import BrokerProcess
from tests.support.clients import ConnectFailed
from tests.support.example_server import serve_example
from tests.support.js_clients import JsClient, JsClients
from tests.support.timing import LIMIT_S

pytest.importorskip("flask_socketio", exc_type=ImportError)
pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "flask"
PAGE = ROOT / "docs" / "from-python-socketio.md"
MANAGER = r"(message_queue|client_manager)=.*"


def lines_of(name: str) -> list[str]:
    """The lines of a file behind its docstring."""
    return (EXAMPLE / f"chat_{name}.py").read_text().splitlines()[1:]


async def test_only_the_line_of_the_manager_differs_and_the_page_shows_it() -> None:
    before, after = (
        [re.sub(MANAGER, "MANAGER", line) for line in lines_of(name) if line and "zmqio" not in line]
        for name in ("before", "after")
    )
    assert before == after
    for name, shown in (("before", 1), ("after", 2)):
        differing = [line for line in lines_of(name) if re.search(MANAGER + "|zmqio", line)]
        assert len(differing) == shown
        assert "\n".join(differing) in PAGE.read_text().replace("\n\n", "\n")


async def announce_until_received(urls: list[str], clients: list[JsClient]) -> Any:
    """Announce at each node until all clients have received it: new nodes may not know each other yet."""
    answers = []
    async with httpx.AsyncClient(timeout=LIMIT_S) as http, asyncio.timeout(LIMIT_S):
        for url in urls:
            text = f"hello {len(answers)}"
            while not all([text] in client.received.named("announcement") for client in clients):
                response = await http.post(f"{url}/announce", params={"text": text})
                await asyncio.sleep(0.1)
            answers.append(response.json())
    return answers


async def use(urls: list[str], js: JsClients, stack: AsyncExitStack) -> list[Any]:
    """Use the chat with two clients; return the events of both, without session ids."""
    with pytest.raises(ConnectFailed) as refused:
        await js.client(urls[0], "websocket").connect()
    ann, bob = (js.client(url, auth={"name": name}) for url, name in zip(urls, ("ann", "bob"), strict=True))
    for each in (ann, bob):
        stack.push_async_callback(each.end)
        await each.connect()
    seen: list[Any] = [refused.value.message, await announce_until_received(urls, [ann, bob])]
    seen += [await ann.call("join", "tea"), await bob.call("join", "tea"), await ann.wait_for("joined")]
    await bob.emit("say", "tea", "hi")
    seen += [await ann.wait_for("said"), await bob.wait_for("said"), bob.received.named("joined")]
    seen.append(await ann.call("quiz", bob.sid))
    await bob.disconnect()
    seen.append(await ann.wait_for("left"))
    return seen


async def test_both_behave_alike(own_broker: BrokerProcess, js: JsClients) -> None:
    async with AsyncExitStack() as stack:
        alone = await stack.enter_async_context(serve_example(EXAMPLE, "chat_before.py"))
        expected = await use([alone] * 2, js, stack)
    async with AsyncExitStack() as stack:
        nodes = [serve_example(EXAMPLE, "chat_after.py", ZMQIO_ADAPTER=own_broker.address) for _ in range(2)]
        urls = [await stack.enter_async_context(node) for node in nodes]
        found = await use(urls, js, stack)
    assert (
        found
        == expected
        == [
            "a name is required",
            [{"announced": "hello 0"}, {"announced": "hello 1"}],
            ["tea"],
            ["tea"],
            [["bob", "tea"]],
            [[{"by": "bob", "text": "hi"}]],
            [[{"by": "bob", "text": "hi"}]],
            [],
            "What is 6 times 7?",
            [["bob"]],
        ]
    )
