"""`Handshake`: from the first HTTP request and the CONNECT payload."""

from zmqio.engine.server import ClientRequest
from zmqio.server.handshake import Handshake


def test_handshake_contains_query_headers_and_auth() -> None:
    request = ClientRequest("GET", "/socket.io/", "EIO=4&a=1&a=2&empty=", {"x": "y"}, "10.0.0.1", True, 12.5)
    handshake = Handshake.of(request, {"token": "t"})
    assert handshake.query == {"EIO": "4", "a": "2", "empty": ""}
    assert handshake.url == "/socket.io/?EIO=4&a=1&a=2&empty="
    assert handshake.describe() == {
        "headers": {"x": "y"},
        "query": {"EIO": "4", "a": "2", "empty": ""},
        "auth": {"token": "t"},
        "address": "10.0.0.1",
        "secure": True,
        "time": 12.5,
        "url": "/socket.io/?EIO=4&a=1&a=2&empty=",
    }
