"""python-socketio's client, with the same interface as the JavaScript one."""

import asyncio
import contextlib
from typing import Any

import aiohttp
import socketio
from engineio.payload import Payload

from tests.support.clients import TRANSPORTS, ConnectFailed, SocketClient
from tests.support.timing import LIMIT_S, wait_until

__all__ = ["PyClient"]

# python-engineio's client hangs up on a polling body of more than 16 packets, though no server promises less (the
# JavaScript one sends them too). An application that polls has to raise this as well.
Payload.max_decode_packets = 10_000
FLUSH_LIMIT_S = 2.0
CLOSE_LIMIT_S = 5.0
"""How long a client waits for the answer to its closing handshake; nothing depends on this answer."""


class PyClient(SocketClient):
    """One python-socketio client.

    Args:
        url: of the node.
        way: a key of `TRANSPORTS`.
        namespace: the namespace that it joins.
        auth: its auth payload.
    """

    _made = 0

    def __init__(self, url: str, way: str = "upgrade", *, namespace: str = "/", auth: Any = None) -> None:
        PyClient._made += 1
        super().__init__(f"py{PyClient._made}-{way}")
        self._url = url
        self._transports = TRANSPORTS[way]
        self._namespace = namespace
        self._auth = auth
        self._refusal: ConnectFailed | None = None
        self._client = socketio.AsyncClient(
            reconnection=False,
            request_timeout=LIMIT_S,  # 5 s by default, for each request of a polling client
            websocket_extra_options={"timeout": aiohttp.ClientWSTimeout(ws_close=CLOSE_LIMIT_S)},
        )
        self._client.on("*", self._event, namespace=namespace)
        self._client.on("connect_error", self._refused, namespace=namespace)
        self._client.on("disconnect", self._disconnected, namespace=namespace)

    async def connect(self) -> None:
        try:
            await self._client.connect(
                self._url,
                transports=self._transports,
                namespaces=[self._namespace],
                auth=self._auth,
                wait_timeout=LIMIT_S,
            )
        except socketio.exceptions.ConnectionError as error:
            raise self._refusal or ConnectFailed(str(error), None) from error
        self.sid = self._client.get_sid(self._namespace) or ""

    async def emit(self, event: str, *args: Any) -> None:
        await self._client.emit(event, args, namespace=self._namespace)

    async def call(self, event: str, *args: Any) -> Any:
        answer = await self._client.call(event, args, namespace=self._namespace, timeout=LIMIT_S)
        return list(answer) if isinstance(answer, tuple) else answer

    async def disconnect(self) -> None:
        await self._flush()
        await self._client.disconnect()

    async def drop(self) -> None:
        await self._client.eio.disconnect(abort=True)
        await self._client.eio.wait()

    async def end(self) -> None:
        await self._flush()
        await self._client.disconnect()

    async def _flush(self) -> None:
        """Wait until what it has sent is on its way.

        If a POST is under way when python-engineio's client disconnects, it drops the packets behind that POST,
        among them its own disconnect: the server then knows nothing of it until its ping is not answered.
        """
        if self._client.eio.state == "connected":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._client.eio.queue.join(), FLUSH_LIMIT_S)

    async def transport(self) -> str | None:
        name: str | None = self._client.transport()
        return name

    async def wait_upgraded(self) -> None:
        await wait_until(lambda: self._client.transport() == "websocket", f"the upgrade of {self.name}")

    def _event(self, event: str, *args: Any) -> Any:
        self.received.events.append((event, list(args)))
        return args

    def _refused(self, data: Any) -> None:
        if isinstance(data, dict):
            self._refusal = ConnectFailed(data.get("message", ""), data.get("data"))
        else:
            self._refusal = ConnectFailed(str(data), None)

    def _disconnected(self, reason: str) -> None:
        self.received.disconnects.append(reason)
