"""Short ASGI responses: a body, or an error. Knows ASGI messages only."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

__all__ = ["Receive", "Scope", "Send", "respond", "respond_to_get", "respond_with_error"]

# Every framework has its own types for these three; Any is compatible with all of them.
Scope: TypeAlias = Any
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


async def respond(
    send: Send, status: int, headers: Headers, body: bytes, *, with_body: bool = True, with_length: bool = True
) -> None:
    """Send a complete response. Without its body, as for a HEAD request, it still states the body's length."""
    fields = [*headers, (b"content-length", str(len(body)).encode())] if with_length else list(headers)
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body if with_body else b""})


async def respond_to_get(scope: Scope, send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Respond to GET and HEAD; to other methods with 405."""
    if scope["method"] in ("GET", "HEAD"):
        await respond(send, status, headers, body, with_body=scope["method"] == "GET")
    else:
        await respond(send, 405, [(b"allow", b"GET, HEAD")], b"")


async def respond_with_error(scope: Scope, receive: Receive, send: Send, status: int, message: str) -> None:
    """Respond with an error. A WebSocket is closed before it is accepted, which the client sees as status 403."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1013 if status == 503 else 1008, "reason": message})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if status == 503 and scope.get("http_version", "1.1").startswith("1"):
        headers.append((b"connection", b"close"))  # a balancer cannot send the next request elsewhere otherwise
    await respond(send, status, headers, f"{message}\n".encode())
