"""`/healthz` and `/readyz` of real nodes: ready only while the node receives from others, and again by itself."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Mount, Route

from tests.support.broker import BrokerProcess
from tests.support.cluster import NodeProcess
from tests.support.node_config import NodeConfig
from tests.support.served import Served
from tests.support.timing import LIMIT_S
from zmqio.server.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")

IMPATIENT = {"heartbeat_s": 0.1, "dead_after_s": 0.5}
OPEN = {"EIO": "4", "transport": "polling"}
LOOK_AGAIN_S = 0.02


async def get(url: str, **parameters: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=LIMIT_S) as http:
        return await http.get(url, params=parameters)


async def wait_status(url: str, status: int) -> dict[str, Any]:
    """Wait until a ready path has that status; returns the body."""
    ends_at = asyncio.get_running_loop().time() + LIMIT_S
    while (answer := await get(url)).status_code != status:
        assert asyncio.get_running_loop().time() < ends_at, f"not {status} in time: {answer.text}"
        await asyncio.sleep(LOOK_AGAIN_S)
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("host", ["fast", "uvicorn", "hypercorn"])
async def test_node_is_not_ready_without_a_broker_and_recovers_by_itself(host: str) -> None:
    async with BrokerProcess() as broker:
        config = NodeConfig("watched", adapter=broker.address, host=host, bus=IMPATIENT)
        async with NodeProcess(config) as node:
            url = f"{node.url}/readyz"
            green = await wait_status(url, 200)
            assert (green["ready"], green["reasons"]) == (True, [])
            assert "details" not in green

            broker.pause()
            red = await wait_status(url, 503)
            assert not red["ready"]
            assert red["reasons"]
            assert (await get(f"{node.url}/healthz")).json() == {"alive": True}
            broker.resume()
            await wait_status(url, 200)

            await asyncio.to_thread(broker.kill)
            assert (await wait_status(url, 503))["reasons"]
            await asyncio.to_thread(broker.start)
            assert (await wait_status(url, 200))["reasons"] == []
            assert len(node.log_lines("node_started")) == 1


async def test_node_without_a_broker_is_alive_and_not_ready() -> None:
    async with BrokerProcess() as broker:
        address = broker.address
    async with NodeProcess(NodeConfig("lonely", adapter=address, bus=IMPATIENT)) as node:
        body = await wait_status(f"{node.url}/readyz", 503)
        assert body["reasons"][0].startswith("no broker has returned a heartbeat")
        assert (await get(f"{node.url}/healthz")).status_code == 200


async def test_node_that_its_first_request_starts_is_not_started_by_a_probe() -> None:
    async with NodeProcess(NodeConfig("lazy", host="uvicorn", mounted=True)) as node:
        body = await wait_status(f"{node.url}/socket.io/readyz", 503)
        assert body["reasons"][0].startswith("the server has not started")
        assert (await get(f"{node.url}/socket.io/healthz")).status_code == 200
        assert node.log_lines("node_started") == []
        assert (await get(f"{node.url}/socket.io/", **OPEN)).status_code == 200
        body = await wait_status(f"{node.url}/socket.io/readyz", 200)
        assert body == {"ready": True, "reasons": []}


async def test_details_are_shown_with_the_option_only() -> None:
    async with NodeProcess(NodeConfig("open", options={"health_details": True})) as node:
        body = await wait_status(f"{node.url}/readyz", 200)
        assert body["details"]["sessions"] == 0


@pytest.mark.parametrize("host", ["fast", "uvicorn", "hypercorn"])
async def test_probes_may_be_head_and_nothing_else(host: str) -> None:
    async with NodeProcess(NodeConfig("probed", host=host)) as node, httpx.AsyncClient(timeout=LIMIT_S) as http:
        for path in ("/healthz", "/readyz"):
            head = await http.head(node.url + path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"] == "application/json"
            refused = await http.post(node.url + path)
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


def in_fastapi(io: Server) -> FastAPI:
    """Socket.IO mounted, and the health routes in three more places."""
    app = FastAPI()
    app.mount("/socket.io", io.asgi())
    app.mount("/ops", io.health_app())
    app.router.routes.append(Route("/readyz", io.health_app()))
    app.router.routes.append(Mount("/", io.health_app(live_path="/alive", ready_path=None)))
    return app


async def test_health_app_can_be_put_anywhere_in_a_framework() -> None:
    io = Server(adapter=None)
    async with Served(in_fastapi(io)) as served, httpx.AsyncClient(base_url=served.url, timeout=LIMIT_S) as http:
        assert (await http.get("/socket.io/", params=OPEN)).status_code == 200
        for path in ("/ops/healthz", "/ops/readyz", "/readyz", "/alive", "/socket.io/readyz"):
            assert (await http.get(path)).status_code == 200, path
        for path in ("/healthz", "/ops", "/ops/elsewhere"):
            assert (await http.get(path)).status_code == 404, path


async def own_page(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"mine"})


async def test_wrapped_app_gets_the_paths_that_are_given_up() -> None:
    io = Server(adapter=None)
    async with Served(io.asgi(own_page, live_path=None, ready_path="/live/ready")) as served:
        assert [(await get(served.url + path)).text for path in ("/healthz", "/readyz")] == ["mine", "mine"]
        assert (await get(f"{served.url}/live/ready")).json()["ready"] is True
