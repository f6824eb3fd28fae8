"""The official admin page, from npm, on two nodes and on `zmqio serve`: what it shows, and that its buttons work.

The last test runs the example of docs/admin.md.

One test drives the page in Chromium; the others speak its protocol with the official JavaScript client.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import urlopen

import pytest
import pytest_asyncio

from tests.e2e.conftest import ClientMaker
from tests.support.admin_nodes import USER, cheap_hash
from tests.support.broker import BrokerProcess
from tests.support.browser import open_browser
from tests.support.clients import ConnectFailed, SocketClient
from tests.support.cluster import NodeProcess
from tests.support.node_config import NodeConfig
from tests.support.npm import node_modules
from tests.support.serve_process import ServeProcess
from tests.support.timing import LIMIT_S, wait_until
from tests.support.tools import require

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPTIONS = {"username": USER["username"], "password": cheap_hash(), "mode": "development", "server_id": "web"}
ROOT = Path(__file__).parents[2]
DRIVER = ROOT / "tests" / "support" / "admin_page.mjs"


class AdminNode(NodeProcess):
    """A node process with an admin page."""

    module: ClassVar[str] = "tests.support.admin_node"

    async def wait_rooms(self, namespace: str, sid: str, rooms: set[str]) -> None:
        """Wait until a socket of this node is in these rooms only, besides its own."""
        await self.wait_state(
            f"{sid} is in {rooms}", lambda state: set(state["rooms"][namespace].get(sid, ())) == {sid, *rooms}
        )


def page_folder() -> str:
    """The folder of the page."""
    return str(node_modules("@socket.io/admin-ui") / "@socket.io" / "admin-ui" / "ui" / "dist")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def duo(own_broker: BrokerProcess) -> AsyncIterator[list[AdminNode]]:
    """Two nodes on a broker of their own, which also serve the page if npm has it."""
    environment = {"ADMIN_OPTIONS": json.dumps(OPTIONS)}
    environment["ADMIN_UI"] = page_folder()
    environment["ZMQIO_ADAPTER"] = own_broker.address
    started = [AdminNode(replace(NodeConfig(name), environment=environment)) for name in ("one", "two")]
    try:
        for node in started:
            node.spawn()
        for node in started:
            await node.wait_state("both nodes", lambda state: state["ready"] and state["server_count"] == 2)
        yield started
    finally:
        for node in started:
            await node.close()


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Opens a browser with the page in it."""
    require("chromium")
    monkeypatch.setenv("ZMQIO_NODE_MODULES", str(node_modules("playwright-core")))
    return lambda: open_browser(DRIVER)


async def stats_of(client: Any, count: int) -> dict[str, dict[str, Any]]:
    """Wait for the statistics of `count` servers; return the newest of each by its id."""
    await wait_until(
        lambda: len({stats["serverId"] for (stats,) in client.received.named("server_stats")}) >= count,
        f"{count} servers among {client.received.events}",
    )
    return {stats["serverId"]: stats for (stats,) in client.received.named("server_stats")}


async def test_views_show_both_nodes_and_buttons_act_on_the_other_one(
    duo: list[AdminNode], make_client: ClientMaker, page: Callable[[], Any], tmp_path: Path
) -> None:
    one, two = duo
    ada = make_client("js", two.url, auth={"name": "Ada", "rooms": ["lobby"]})
    bob = make_client("js", one.url, "polling", namespace="/chat", auth={"name": "Bob", "rooms": ["tea"]})
    await ada.connect()
    await bob.connect()
    await ada.wait_upgraded()
    async with page() as browser:
        show = browser.ask
        shots = Path(os.environ.get("ADMIN_SCREENSHOTS") or tmp_path)
        await show("open", url=f"{one.url}/")
        await show("login", server=one.url, username=USER["username"], password="wrong password")
        await show("dialog", text="Invalid credentials")
        await show("login", server=one.url, **USER)
        await show("connected")

        await show("wait_row", text="/chat", has="1")  # namespaces, on the dashboard
        await show("screenshot", path=str(shots / "dashboard.png"))
        await show("view", path="/servers/")
        pids = [str(node.pid) for node in duo]
        for pid in pids:
            await show("wait_row", text=pid, has="HEALTHY")
        await show("view", path="/clients/")
        await show("wait_row", text="127.0.0.1", has="HTTP long-polling")
        await show("view", path="/rooms/")
        await show("wait_row", text="lobby", has="PUBLIC")
        await show("namespace", name="/chat")
        await show("wait_row", text="tea", has="PUBLIC")
        await show("view", path="/events/")
        await bob.emit("say", "tea", "ready")
        await show("wait_row", text=bob.sid, has="said")
        await show("screenshot", path=str(shots / "events.png"))
        await show("namespace", name="/")

        await show("view", path="/sockets/")
        await show("wait_row", text=ada.sid, has="WebSocket")
        await show("view", path=f"/n/%2F/sockets/{ada.sid}")
        await show("wait", text='"name": "Ada"')
        await show("join", room="from the page")
        await two.wait_rooms("/", ada.sid, {"lobby", "from the page"})
        await show("wait", text="from the page")
        await show("press", text="lobby")
        await two.wait_rooms("/", ada.sid, {"from the page"})
        await show("screenshot", path=str(shots / "socket.png"))
        await show("view", path="/sockets/")
        await show("press", text=ada.sid)
        assert await ada.wait_disconnect() == "io server disconnect"

        await show("reload")  # the session is remembered
        await show("view", path="/servers/")
        await show("wait_row", text=pids[1], has="HEALTHY")
        assert await show("problems") == []
    assert not bob.received.disconnects


async def test_each_button_acts_on_the_other_node(
    duo: list[AdminNode], make_client: ClientMaker, page: Callable[[], Any]
) -> None:
    one, two = duo
    names = (
        "of the table",
        "of the socket",
        "its client",
        "of its client",
        "of the room",
        "of a row",
        "of the rooms",
    )
    clients = {name: make_client("js", two.url, "websocket", auth={"rooms": [name, "all"]}) for name in names}
    for client in clients.values():
        await client.connect()

    async def press_in(path: str, **button: Any) -> None:
        await show("view", path=path)  # a press on a button is one on its row, too, and shows the socket
        await show("press", **button)

    async def show_socket(name: str) -> None:
        await show("view", path="/sockets/")  # the page does not go from one socket's view to another's
        await show("view", path=f"/n/%2F/sockets/{clients[name].sid}")

    async with page() as browser:
        show = browser.ask
        await show("open", url=f"{one.url}/")
        await show("login", server=one.url, **USER)
        await show("connected")

        await show_socket("of the socket")
        await clients["of the socket"].emit("rename", "Grace")
        await show("wait", text='"name": "Grace"')
        await show("press", text="Status", index=1)
        await clients["of the socket"].wait_disconnect()
        await show_socket("its client")
        await show("press", text="Status", index=0)
        await clients["its client"].wait_disconnect()

        for name, action in (("of its client", "open_row"), ("of the table", "press")):
            await show_socket(name)
            client_id = await show("client_id")
            await show("view", path="/clients/")
            await show(action, text=client_id)
            if action == "open_row":
                await show("press", text="/", index=0)
            await clients[name].wait_disconnect()

        await press_in("/n/%2F/rooms/all", text=clients["of a row"].sid, index=0)
        await two.wait_rooms("/", clients["of a row"].sid, {"of a row"})
        await press_in("/n/%2F/rooms/all", text=clients["of the room"].sid, index=1)
        await clients["of the room"].wait_disconnect()
        await press_in("/n/%2F/rooms/all", text="Status")
        await two.wait_rooms("/", clients["of the rooms"].sid, {"of the rooms"})
        await press_in("/rooms/", text="of a row", index=0)
        await two.wait_rooms("/", clients["of a row"].sid, set())
        await press_in("/rooms/", text="of the rooms", index=1)
        await clients["of the rooms"].wait_disconnect()
        assert await show("problems") == []
    assert not clients["of a row"].received.disconnects


async def test_protocol_shows_every_node_and_acts_on_all(duo: list[AdminNode], make_client: ClientMaker) -> None:
    one, two = duo
    clients = [make_client("js", node.url, "websocket", auth={"rooms": ["lobby"]}) for node in duo]
    for client in clients:
        await client.connect()
    admin = make_client("js", one.url, namespace="/admin", auth=USER)
    await admin.connect()
    ((config,),) = await admin.wait_for("config")
    assert {"ALL_EVENTS", "AGGREGATED_EVENTS", "JOIN"} <= set(config["supportedFeatures"])
    ((sockets,),) = await admin.wait_for("all_sockets")
    assert {client.sid for client in clients} <= {each["id"] for each in sockets if "lobby" in each["rooms"]}
    found = await stats_of(admin, 2)
    assert {stats["pid"] for stats in found.values()} == {one.pid, two.pid}
    assert all(server.startswith("web#") for server in found)

    for client, node in zip(clients, duo, strict=True):
        await admin.emit("join", "/", "chosen", client.sid)
        await node.wait_rooms("/", client.sid, {"lobby", "chosen"})
    await admin.emit("emit", "/", "chosen", "news", {"a": [1]})
    for client in clients:
        assert await client.wait_for("news") == [[{"a": [1]}]]
    await admin.emit("leave", "/", "chosen")
    await two.wait_rooms("/", clients[1].sid, {"lobby"})
    await admin.emit("_disconnect", "/", True, "lobby")
    for client in clients:
        await client.wait_disconnect()
    sids, received = {client.sid for client in clients}, admin.received
    await wait_until(
        lambda: sids <= {args[1] for args in received.named("socket_disconnected")}, "the page shows their end"
    )


async def test_session_of_one_node_is_valid_on_the_other_and_wrong_credentials_on_none(
    duo: list[AdminNode], make_client: ClientMaker
) -> None:
    one, two = duo
    first = make_client("js", one.url, namespace="/admin", auth=USER)
    await first.connect()
    ((session_id,),) = await first.wait_for("session")
    await make_client("js", two.url, namespace="/admin", auth={"sessionId": session_id}).connect()
    for auth in ({**USER, "password": "wrong"}, {**USER, "username": "x"}, {"sessionId": "x" * 32}, {}):
        with pytest.raises(ConnectFailed, match="invalid credentials"):
            await make_client("js", two.url, namespace="/admin", auth=auth).connect()


async def admin_that_sees(sids: set[str], url: str, make_client: ClientMaker) -> SocketClient:
    """Connect until the page shows these sockets: workers that have just started may not know each other."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            admin = make_client("js", url, "polling", namespace="/admin", auth=USER)
            await admin.connect()
            ((sockets,),) = await admin.wait_for("all_sockets")
            if sids <= {each["id"] for each in sockets}:
                return admin


async def test_workers_of_serve_are_servers_of_their_own(make_client: ClientMaker) -> None:
    environment = {"ADMIN_OPTIONS": json.dumps(OPTIONS)}
    app = "tests.support.admin_app:app"
    async with ServeProcess(app=app, workers=2, environment=environment) as server:
        clients = [make_client("js", server.url) for _ in range(4)]
        for client in clients:
            await client.connect()
        admin = await admin_that_sees({client.sid for client in clients}, server.url, make_client)
        found = await stats_of(admin, 2)
        assert {stats["pid"] for stats in found.values()} == set(server.worker_pids())
        await admin.emit("emit", "/", None, "news")
        for client in clients:
            await client.wait_for("news")
        await admin.emit("_disconnect", "/", False, None)
        for client in clients:
            assert await client.wait_disconnect() == "io server disconnect"


async def test_example_serves_the_page_and_shows_statistics_only(make_client: ClientMaker) -> None:
    environment = {"ADMIN_PASSWORD_HASH": cheap_hash(), "ADMIN_PAGE": page_folder()}
    folder = ROOT / "examples" / "admin"
    async with ServeProcess(app="app:app", workers=1, environment=environment, folder=folder) as server:
        with await asyncio.to_thread(urlopen, f"{server.url}/admin-page/", timeout=LIMIT_S) as answer:
            assert b"Socket.IO Admin UI" in answer.read()
        admin = make_client("js", server.url, namespace="/admin", auth=USER)
        await admin.connect()
        assert await admin.wait_for("config") == [[{"supportedFeatures": ["AGGREGATED_EVENTS"]}]]
        await stats_of(admin, 1)
