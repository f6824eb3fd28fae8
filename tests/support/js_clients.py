"""The official JavaScript client (npm socket.io-client), many of them in one Node.js process."""

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.clients import TRANSPORTS, ConnectFailed, SocketClient
from tests.support.timing import LIMIT_S, wait_until

__all__ = ["JsClient", "JsClients"]

SCRIPT = Path(__file__).with_name("js_client.mjs")
LINE_LIMIT_BYTES = 32 << 20


class JsClients:
    """The Node.js process; used as `async with`. It starts with its first client.

    Args:
        find_tools: gives the path of the `node` program, and a folder that has `node_modules/socket.io-client` in
            it; may skip the test.
    """

    def __init__(self, find_tools: Callable[[], tuple[str, Path]]) -> None:
        self._find_tools = find_tools
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._clients: dict[str, JsClient] = {}
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._ids = count(1)
        self._names = count(1)
        self.versions: dict[str, str] = {}

    async def __aenter__(self) -> "JsClients":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), LIMIT_S)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await self._reader

    def client(
        self,
        url: str,
        way: str = "upgrade",
        *,
        namespace: str = "/",
        auth: Any = None,
        shares: "JsClient | None" = None,
        **options: Any,
    ) -> "JsClient":
        """Make a client; `shares` puts it on the connection of another one."""
        name = f"js{next(self._names)}-{way}"
        command = {
            "url": url,
            "namespace": namespace,
            "auth": auth,
            "shares": shares and shares.name,
            "options": {"transports": TRANSPORTS[way], **options},
        }
        self._clients[name] = JsClient(self, name, command)
        return self._clients[name]

    async def run(self, op: str, **command: Any) -> Any:
        """Run one command of the script and return its result.

        Raises:
            RuntimeError: it failed, or there is no answer.
        """
        process = await self._started()
        number = next(self._ids)
        future = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        assert process.stdin is not None
        process.stdin.write(json.dumps({"id": number, "op": op, **command}).encode() + b"\n")
        await process.stdin.drain()
        return await asyncio.wait_for(future, 2 * LIMIT_S)

    async def _started(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None:
                node, packages = self._find_tools()
                self._process = await asyncio.create_subprocess_exec(
                    node,
                    str(SCRIPT),
                    str(packages),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    limit=LINE_LIMIT_BYTES,
                )
                self._reader = asyncio.create_task(self._read(self._process))
                await wait_until(lambda: self.versions or self._reader.done(), "the JavaScript process")
            return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self._take(json.loads(line))
        for future in self._answers.values():
            if not future.done():
                future.set_exception(RuntimeError("the JavaScript process has ended"))

    def _take(self, report: dict[str, Any]) -> None:
        if "id" in report:
            future = self._answers.pop(report["id"])
            if future.done():
                return
            if "error" in report:
                future.set_exception(RuntimeError(report["error"]))
            else:
                future.set_result(report["result"])
        elif report["kind"] == "ready":
            self.versions = {"socket.io-client": report["version"], "node": report["node"]}
        else:
            self._clients[report["client"]].take(report)


class JsClient(SocketClient):
    """One official JavaScript client."""

    def __init__(self, process: JsClients, name: str, command: dict[str, Any]) -> None:
        super().__init__(name)
        self._process = process
        self._command = command
        self._first: asyncio.Future[None] | None = None
        self.recovered = False

    async def connect(self) -> None:
        self._first = asyncio.get_running_loop().create_future()
        await self._process.run("open", client=self.name, **self._command)
        await asyncio.wait_for(self._first, LIMIT_S)

    async def emit(self, event: str, *args: Any) -> None:
        await self._process.run("emit", client=self.name, event=event, args=pack(args))

    async def call(self, event: str, *args: Any) -> Any:
        timeout_ms = LIMIT_S * 1000
        answer = await self._process.run(
            "call", client=self.name, event=event, args=pack(args), timeout_ms=timeout_ms
        )
        values = unpack(answer)
        return values[0] if len(values) == 1 else values

    async def mute(self) -> None:
        """Acknowledge nothing from now on."""
        await self._process.run("mute", client=self.name)

    async def connect_again(self, auth: Any = None) -> None:
        """Join the namespace again, on the same connection.

        Raises:
            ConnectFailed: the server refused.
        """
        self._first = asyncio.get_running_loop().create_future()
        await self._process.run("retry", client=self.name, auth=auth)
        await asyncio.wait_for(self._first, LIMIT_S)

    async def lose_connection(self) -> None:
        """Lose the connection; the client does not reconnect by itself."""
        await self._process.run("lose", client=self.name)

    async def return_to(self, url: str) -> bool:
        """Connect again, perhaps to another server; return whether the server recovered the session."""
        self._first = asyncio.get_running_loop().create_future()
        await self._process.run("return_to", client=self.name, url=url)
        await asyncio.wait_for(self._first, LIMIT_S)
        return self.recovered

    async def stop_answering_pings(self) -> None:
        """Stop sending Engine.IO pongs, as a client does whose network is gone."""
        await self._process.run("stop_pongs", client=self.name)

    async def disconnect(self) -> None:
        await self._process.run("disconnect", client=self.name)

    async def drop(self) -> None:
        await self._process.run("close", client=self.name)

    async def end(self) -> None:
        if self._first is not None:
            await self.drop()

    async def transport(self) -> str | None:
        name: str | None = await self._process.run("transport", client=self.name)
        return name

    async def extensions(self) -> str:
        """The WebSocket extensions in use."""
        return str(await self._process.run("extensions", client=self.name))

    def take(self, report: dict[str, Any]) -> None:
        """Record an event of the client."""
        match report["kind"]:
            case "connect":
                self.sid = report["sid"]
                self.recovered = bool(report.get("recovered"))  # undefined where the server recovers nothing
                self._settle(None)
            case "connect_error":
                self._settle(ConnectFailed(report["message"], unpack(report["data"])))
            case "disconnect":
                self.received.disconnects.append(report["reason"])
            case "upgrade":
                self.received.upgrades.append(report["transport"])
            case "event":
                self.received.events.append((report["event"], unpack(report["args"])))

    def _settle(self, error: ConnectFailed | None) -> None:
        if self._first is None or self._first.done():
            return
        if error is None:
            self._first.set_result(None)
        else:
            self._first.set_exception(error)


def pack(value: Any) -> Any:
    """Make a value JSON: bytes become `{"$bin": base64}`."""
    if isinstance(value, (bytes, bytearray)):
        return {"$bin": base64.b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return [pack(inner) for inner in value]
    if isinstance(value, dict):
        return {key: pack(inner) for key, inner in value.items()}
    return value


def unpack(value: Any) -> Any:
    """The opposite of `pack`."""
    if isinstance(value, list):
        return [unpack(inner) for inner in value]
    if isinstance(value, dict):
        if "$bin" in value:
            return base64.b64decode(value["$bin"])
        return {key: unpack(inner) for key, inner in value.items()}
    return value
