"""examples/python_socketio and docs/from-python-socketio.md: the files of the page run together in one cluster."""

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.broker import BrokerProcess
from tests.support.cluster import process_environment
from tests.support.example_server import serve_example
from tests.support.pages import files_of
from tests.support.py_clients import PyClient
from tests.support.timing import LIMIT_S, wait_until

pytest.importorskip("flask_socketio", exc_type=ImportError)
pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "python_socketio"
PAGE = ROOT / "docs" / "from-python-socketio.md"
FOR_ZMQIO = ["--ws", "zmqio.uvicorn:WebSocketProtocol", "--http", "zmqio.uvicorn:HttpProtocol"]


async def test_the_page_shows_the_files_of_the_example() -> None:
    shown = {name: text for name, text in files_of(PAGE).items() if name != "chat_after.py"}
    assert shown == {path.name: path.read_text() for path in EXAMPLE.glob("*.py")}


async def test_the_three_servers_share_a_room(broker: BrokerProcess) -> None:
    async with AsyncExitStack() as stack:

        async def run_server(*arguments: str) -> str:
            server = serve_example(EXAMPLE, *arguments, ZMQIO_ADAPTER=broker.address)
            return await stack.enter_async_context(server)

        urls = await asyncio.gather(
            run_server("-m", "uvicorn", "app:app"),
            run_server("flask_app.py"),
            run_server("-m", "uvicorn", *FOR_ZMQIO, "zmqio_app:app"),
        )
        clients = [PyClient(url, "websocket") for url in urls]
        for client in clients:
            stack.push_async_callback(client.end)
            await client.connect()
        for number, client in enumerate(clients):
            others = [other for other in clients if other is not client]

            async def reaches_others(
                client: PyClient = client, others: list[PyClient] = others, text: str = f"text {number}"
            ) -> None:
                # Nodes that have just started may not know each other yet: the text is sent until it arrives.
                while not all([text] in other.received.named("chat message") for other in others):
                    await client.emit("chat message", text)
                    await asyncio.sleep(0.2)
                assert [text] not in client.received.named("chat message")

            await asyncio.wait_for(reaches_others(), LIMIT_S)
        await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "publish.py"],
            cwd=EXAMPLE,
            env=process_environment() | {"ZMQIO_ADAPTER": broker.address},
            timeout=3 * LIMIT_S,
            check=True,
        )
        for client in clients:
            await wait_until(
                lambda client=client: ["from a script"] in client.received.named("chat message"),
                "the script's text",
            )
