"""examples/python_socketio and docs/from-python-socketio.md: the files of the page run together in one cluster."""

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.broker import BrokerProcess
from tests.support.cluster import process_environment
from tests.support.forked import start
from tests.support.pages import files_of
from tests.support.ports import free_port
from tests.support.process_log import ProcessLog
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


async def run_server(stack: AsyncExitStack, broker: BrokerProcess, *command: str, port: int) -> None:
    log = ProcessLog("example")
    stack.callback(log.close)
    environment = process_environment() | {"ZMQIO_ADAPTER": broker.address, "PORT": str(port)}
    process = start([sys.executable, *command], env=environment, stdout=log.file, cwd=EXAMPLE)
    stack.callback(process.wait, LIMIT_S)
    stack.callback(process.terminate)

    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    async with asyncio.timeout(LIMIT_S):
        while not await listens():
            assert process.poll() is None, log.text()
            await asyncio.sleep(0.05)


async def test_the_three_servers_share_a_room(broker: BrokerProcess) -> None:
    ports = [free_port() for _ in range(3)]
    uvicorn = ("-m", "uvicorn", "--port")
    async with AsyncExitStack() as stack:
        await asyncio.gather(
            run_server(stack, broker, *uvicorn, str(ports[0]), "app:app", port=ports[0]),
            run_server(stack, broker, "flask_app.py", port=ports[1]),
            run_server(stack, broker, *uvicorn, str(ports[2]), *FOR_ZMQIO, "zmqio_app:app", port=ports[2]),
        )
        clients = [PyClient(f"http://127.0.0.1:{port}", "websocket") for port in ports]
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
            timeout=LIMIT_S,
            check=True,
        )
        for client in clients:
            await wait_until(
                lambda client=client: ["from a script"] in client.received.named("chat message"),
                "the script's text",
            )
