"""`describe_socket`: what a page sees of a socket, and what it never sees."""

import json

from tests.support.fake_engine import Harness
from zmqio.server.admin.description import describe_socket, time_text


async def test_description_has_the_fields_of_the_page_and_no_secrets() -> None:
    harness = Harness()
    await harness.connected(auth='{"token":"top secret"}')
    (socket,) = harness.of("/").sockets.values()
    socket.data["name"] = "Ada"
    await socket.join("lobby")
    found = describe_socket(socket)
    assert found == {
        "id": socket.id,
        "clientId": socket.connection_id,
        "transport": "websocket",
        "nsp": "/",
        "data": {"name": "Ada"},
        "handshake": {
            "address": "127.0.0.1",
            "headers": {"host": "x"},
            "query": {"EIO": "4", "token": "(hidden)"},
            "issued": 1500,
            "secure": False,
            "time": "1970-01-01T00:00:01.500Z",
            "url": "/socket.io/",
            "xdomain": False,
        },
        "rooms": found["rooms"],
    }
    assert set(found["rooms"]) == {socket.id, "lobby"}
    assert "top secret" not in json.dumps(found)


def test_time_is_written_as_javascript_does() -> None:
    assert time_text(0) == "1970-01-01T00:00:00.000Z"
