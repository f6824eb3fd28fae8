"""examples/compat/server_asgi: applications of python-socketio, and the same on zmqio with another import."""

import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests.support.broker import BrokerProcess
from tests.support.js_clients import JsClient, JsClients
from tests.support.served import Served
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOLDER = Path(__file__).parents[2] / "examples" / "compat" / "server_asgi"
IMPORT = "\nimport socketio\n"
OTHER_IMPORT = "\nfrom zmqio import compat as socketio\n"
PASSWORD = "'python',  # change this"
LONGER_PASSWORD = "'python-socketio',  # change this"


def load(name: str, *changes: tuple[str, str]) -> ModuleType:
    """A new copy of an application, with some text replaced."""
    text = (FOLDER / f"{name}.py").read_text()
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    module = sys.modules[f"example {name}"] = ModuleType(f"example {name}")  # litestar looks for it there
    exec(compile(text, f"{name}.py", "exec"), module.__dict__)
    return module


def asgi_of(module: ModuleType) -> Any:
    return getattr(module, "combined_asgi_app", None) or module.app


def answers(client: JsClient) -> list[Any]:
    """The events of `app.py` but those that it emits every ten seconds."""
    return [event for event in client.received.events if event[1] != [{"data": "Server generated event"}]]


async def use_app(ann: JsClient, bob: JsClient) -> list[Any]:
    """Use each event of `app.py`; return what both clients received."""
    sent = 1  # the greeting
    for event, data in (
        ("my_event", {"data": "echo"}),
        ("join", {"room": "tea"}),
        ("my_room_event", {"room": "tea", "data": "to the room"}),
        ("leave", {"room": "tea"}),
        ("join", {"room": "tea"}),
        ("close room", {"room": "tea"}),
        ("my_room_event", {"room": "tea", "data": "to nobody"}),
        ("my_broadcast_event", {"data": "to all"}),
    ):
        await ann.emit(event, data)
        if event != "my_room_event" or data["data"] != "to nobody":
            sent += 1
            await wait_until(lambda: len(answers(ann)) == sent, f"the response to {event}")  # noqa: B023
    await wait_until(lambda: len(answers(bob)) == 2, "the greeting and the broadcast")
    await bob.emit("disconnect request")
    return [answers(ann), answers(bob), await bob.wait_disconnect()]


async def use_latency(ann: JsClient, bob: JsClient) -> list[Any]:
    for _ in range(2):
        await ann.emit("ping_from_client")
    return [await ann.wait_for("pong_from_server", 2), bob.received.events]


async def use_fiddle(ann: JsClient, bob: JsClient) -> list[Any]:
    return [await client.wait_for("hello") for client in (ann, bob)]


USES: dict[str, tuple[Callable[[JsClient, JsClient], Awaitable[list[Any]]], list[str]]] = {
    "app": (use_app, ["/"]),
    "latency": (use_latency, ["/", "/static/style.css"]),
    "fiddle": (use_fiddle, ["/", "/static/fiddle.js", "/missing"]),
    "fastapi-fiddle": (use_fiddle, ["/", "/static/fiddle.js", "/hello", "/missing"]),
    "litestar-fiddle": (use_fiddle, ["/", "/static/fiddle.js", "/hello", "/missing"]),
}


PAGES = {path.stem: path.read_text() for path in FOLDER.glob("*.html")}


async def use(name: str, nodes: list[Any], js: JsClients) -> list[Any]:
    """Use an application; return its pages, and the events of one client at each node."""
    function, pages = USES[name]
    async with AsyncExitStack() as stack:
        urls = [(await stack.enter_async_context(Served(asgi_of(node)))).url for node in nodes]
        if hasattr(nodes[0].sio, "io"):
            await wait_until(lambda: all(node.sio.io.server_count() == 2 for node in nodes), "two nodes")
        async with httpx.AsyncClient(timeout=LIMIT_S) as http:
            responses = [await http.get(urls[0] + page) for page in pages]
        clients = [js.client(url) for url in (urls[0], urls[-1])]
        for client in clients:
            stack.push_async_callback(client.end)
            await client.connect()
            if name == "app":
                await client.wait_for("my_response")  # the greeting
        seen = await function(*clients)
    # The text of an error is the framework's, or differs.
    return [(found.status_code, found.text if found.is_success else "") for found in responses] + seen


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of litestar, which the example causes
@pytest.mark.parametrize("name", USES)
async def test_the_application_behaves_alike_on_two_nodes_of_zmqio(
    name: str, own_broker: BrokerProcess, js: JsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    before = await use(name, [load(name)], js)
    monkeypatch.setenv("ZMQIO_ADAPTER", own_broker.address)
    changes = [(IMPORT, OTHER_IMPORT)] + [(PASSWORD, LONGER_PASSWORD)] * (name == "app")
    after = await use(name, [load(name, *changes) for _ in range(2)], js)
    assert after == before
    assert before[0][1] == PAGES.get(name, PAGES["fiddle"])
