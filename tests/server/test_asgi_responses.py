"""Short ASGI responses: lengths, HEAD, errors."""

from typing import Any

import pytest

from zmqio.server.asgi_responses import respond, respond_to_get, respond_with_error


class Sent:
    """Records the messages that an app sends."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def send(self, message: Any) -> None:
        self.messages.append(message)

    async def receive(self) -> Any:
        return {"type": "websocket.connect"}

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])


async def test_response_states_its_length() -> None:
    sent = Sent()
    await respond(sent.send, 200, [(b"a", b"b")], b"body")
    assert sent.messages == [
        {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b"), (b"content-length", b"4")]},
        {"type": "http.response.body", "body": b"body"},
    ]


async def test_head_response_has_the_headers_of_get_and_no_body() -> None:
    get, head = Sent(), Sent()
    await respond_to_get({"method": "GET"}, get.send, 200, [], b"body")
    await respond_to_get({"method": "HEAD"}, head.send, 200, [], b"body")
    assert get.messages[0] == head.messages[0]
    assert (get.messages[1]["body"], head.messages[1]["body"]) == (b"body", b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_get_405_with_the_allowed_ones(method: str) -> None:
    sent = Sent()
    await respond_to_get({"method": method}, sent.send, 200, [], b"body")
    assert (sent.messages[0]["status"], sent.headers[b"allow"]) == (405, b"GET, HEAD")
    assert sent.messages[1]["body"] == b""


@pytest.mark.parametrize(
    ("status", "version", "closes"), [(503, "1.1", True), (503, "2", False), (404, "1.1", False)]
)
async def test_503_closes_an_http_1_connection(status: int, version: str, closes: bool) -> None:
    sent = Sent()
    await respond_with_error({"type": "http", "http_version": version}, sent.receive, sent.send, status, "why")
    assert sent.messages[0]["status"] == status
    assert sent.messages[1]["body"] == b"why\n"
    assert (b"connection" in sent.headers) is closes


@pytest.mark.parametrize(("status", "code"), [(503, 1013), (404, 1008)])
async def test_websocket_is_refused_before_it_is_accepted(status: int, code: int) -> None:
    sent = Sent()
    await respond_with_error({"type": "websocket"}, sent.receive, sent.send, status, "why")
    assert sent.messages == [{"type": "websocket.close", "code": code, "reason": "why"}]
