"""`zmqio serve --access-log`: what its lines say about real clients, and that they have no secrets."""

import urllib.request
from typing import Any

import pytest

from tests.e2e.conftest import ClientMaker
from tests.support.serve_process import ServeProcess
from tests.support.timing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVENTS = ("request_completed", "websocket_opened", "websocket_closed")


def lines(server: ServeProcess) -> list[dict[str, Any]]:
    return [line for event in EVENTS for line in server.log_lines(event)]


def get(url: str, **headers: str) -> None:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): text for name, text in headers.items()})
    urllib.request.urlopen(request, timeout=30).read()


async def test_each_request_and_websocket_has_its_lines_without_ids_and_tokens(make_client: ClientMaker) -> None:
    async with ServeProcess("--access-log", workers=2) as server:
        get(f"{server.url}/page?token=secret", X_Forwarded_For="203.0.113.7")
        client = make_client("py", server.url, "upgrade", auth={"token": "secret"})
        await client.connect()
        sid = (await client.call("whoami"))["sid"]
        await wait_until(lambda: server.log_lines("websocket_opened"), "the upgrade")
        await client.disconnect()
        await wait_until(lambda: server.log_lines("websocket_closed"), "the end of the WebSocket")
        # Another worker may have sent the page, and not have logged it yet.
        await wait_until(lambda: any(line["path"] == "/page" for line in lines(server)), "the line of the page")
        (page,) = [line for line in lines(server) if line["path"] == "/page"]
        assert (page["client"], page["method"], page["status"]) == ("203.0.113.7", "GET", 200)
        assert page["bytes"] > 0 and page["duration_s"] >= 0
        engine = [line for line in lines(server) if line["path"] == "/socket.io/"]
        assert {line["client"] for line in engine} == {"127.0.0.1"}
        assert "request_completed" in {line["event"] for line in engine}
        assert [line["code"] for line in engine if line["event"] == "websocket_closed"]
        assert not any(secret in str(lines(server)) for secret in ("secret", sid, "sid="))


async def test_without_the_option_there_are_none(make_client: ClientMaker) -> None:
    async with ServeProcess(workers=1) as server:
        get(f"{server.url}/page")
        client = make_client("py", server.url, "websocket")
        await client.connect()
        await client.disconnect()
        assert lines(server) == []
