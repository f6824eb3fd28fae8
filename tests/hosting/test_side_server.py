"""An app on a listener beside other work of its process."""

import asyncio
import signal
import socket
import urllib.request
from typing import Any

from tests.support.timing import LIMIT_S
from zmqio.hosting.side_server import serve_beside


async def app(scope: Any, _receive: Any, send: Any) -> None:
    body = scope["path"].encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def test_requests_are_served_until_it_is_cancelled_and_signals_stay_as_they_were() -> None:
    before = signal.getsignal(signal.SIGTERM)
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    task = asyncio.ensure_future(serve_beside(app, listener))

    def fetch() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{address[1]}/here", timeout=LIMIT_S) as response:
            return bytes(response.read())

    assert await asyncio.to_thread(fetch) == b"/here"
    assert signal.getsignal(signal.SIGTERM) is before
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /open HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readuntil(b"/open")).startswith(b"HTTP/1.1 200")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""  # an idle connection does not delay the end
    writer.close()
    assert listener.fileno() == -1
