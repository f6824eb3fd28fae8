"""Joining a namespace: auth payload, refusal, unknown namespace, and CONNECT as the first packet."""

import asyncio
import json

import httpx
import pytest
from websockets.asyncio.client import connect as connect_websocket

from tests.e2e.conftest import ClientMaker
from tests.support.clients import TRANSPORTS, ConnectFailed
from tests.support.cluster import Cluster
from tests.support.js_clients import JsClients
from tests.support.timing import LIMIT_S

pytestmark = pytest.mark.asyncio(loop_scope="session")

HANDSHAKE = {"EIO": "4", "transport": "polling"}


@pytest.mark.parametrize("way", TRANSPORTS)
@pytest.mark.parametrize("library", ["js", "py"])
class TestEveryTransport:
    async def test_the_auth_payload_reaches_the_handler(
        self, cluster: Cluster, make_client: ClientMaker, library: str, way: str
    ) -> None:
        auth = {"token": "s3cret \u00e9", "nested": {"list": [1, 2]}}
        client = make_client(library, cluster[0].url, way, auth=auth)
        await client.connect()
        assert await client.wait_for("welcome") == [[cluster[0].name, auth]]
        seen = await client.call("whoami")
        assert seen["auth"] == auth
        assert seen["sid"] == client.sid
        assert seen["rooms"] == [client.sid]

    async def test_a_refused_client_gets_message_and_data(
        self, cluster: Cluster, make_client: ClientMaker, library: str, way: str
    ) -> None:
        client = make_client(library, cluster[1].url, way, auth={"refuse": "not today"})
        with pytest.raises(ConnectFailed) as refusal:
            await client.connect()
        assert refusal.value.message == "not today"
        assert refusal.value.data == {"code": 42, "node": cluster[1].name}
        assert client.received.named("welcome") == []

    async def test_an_unknown_namespace_is_refused(
        self, cluster: Cluster, make_client: ClientMaker, library: str, way: str
    ) -> None:
        client = make_client(library, cluster[2].url, way, namespace="/nowhere")
        with pytest.raises(ConnectFailed) as refusal:
            await client.connect()
        assert refusal.value.message == "Invalid namespace"
        assert refusal.value.data is None


async def test_a_connection_serves_several_namespaces(cluster: Cluster, js: JsClients) -> None:
    main = js.client(cluster[0].url, "websocket")
    await main.connect()
    chat = js.client(cluster[0].url, "websocket", namespace="/chat", auth={"in": "chat"}, shares=main)
    await chat.connect()
    nowhere = js.client(cluster[0].url, "websocket", namespace="/nowhere", shares=main)
    with pytest.raises(ConnectFailed, match="Invalid namespace"):
        await nowhere.connect()
    assert main.sid != chat.sid
    assert (await chat.call("whoami"))["auth"] == {"in": "chat"}
    await chat.disconnect()
    assert await main.call("echo", "still here") == "still here"
    await main.drop()


async def test_a_refused_client_may_try_again_on_the_same_connection(cluster: Cluster, js: JsClients) -> None:
    main = js.client(cluster[0].url, "polling")
    await main.connect()
    refused = js.client(cluster[0].url, "polling", namespace="/chat", auth={"refuse": "no"}, shares=main)
    with pytest.raises(ConnectFailed, match="no"):
        await refused.connect()
    await refused.connect_again({"now": "polite"})
    assert await refused.call("echo", 1) == 1
    await main.drop()


async def test_connect_is_the_first_packet_over_polling(cluster: Cluster) -> None:
    async with httpx.AsyncClient(base_url=cluster[0].url, timeout=LIMIT_S) as http:
        opened = await http.get("/socket.io/", params=HANDSHAKE)
        session = HANDSHAKE | {"sid": json.loads(opened.text[1:])["sid"]}
        assert (await http.post("/socket.io/", params=session, content='40{"a":1}')).text == "ok"
        packets: list[str] = []
        async with asyncio.timeout(LIMIT_S):
            while len(packets) < 2:
                packets += (await http.get("/socket.io/", params=session)).text.split("\x1e")
    assert packets[0].startswith('40{"sid":"')
    assert packets[1] == f'42["welcome","{cluster[0].name}",{{"a":1}}]'


async def test_connect_is_the_first_packet_over_websocket(cluster: Cluster) -> None:
    url = cluster[1].url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    async with connect_websocket(url, open_timeout=LIMIT_S) as websocket:
        assert str(await websocket.recv()).startswith('0{"sid":"')
        await websocket.send("40")
        assert str(await websocket.recv()).startswith('40{"sid":"')
        assert str(await websocket.recv()).startswith(f'42["welcome","{cluster[1].name}"')
