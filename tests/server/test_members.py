"""`NamespaceMembers`: what an adapter may request from the sockets of this process."""

from tests.support.fake_engine import IDENTITY, Stand
from zmqio.ids import Sid


async def test_delivery_ignores_unknown_ids() -> None:
    stand = Stand()
    _, session = await stand.connected()
    (sid,) = stand.of("/").sockets
    stand.of("/").adapter  # noqa: B018 - it is open
    members = stand.of("/")._members
    members.deliver([Sid("nobody"), sid], ("2[]",))
    assert session.sent[1:] == ["2[]"]


async def test_description_contains_id_node_rooms_data_and_handshake() -> None:
    stand = Stand()
    await stand.connected(auth='{"a":1}')
    (socket,) = stand.of("/").sockets.values()
    socket.data["name"] = "Ada"
    await socket.join("r")
    (remote,) = await stand.of("/").fetch_sockets()
    assert remote.id == socket.id
    assert remote.node_id == IDENTITY.node_id
    assert remote.rooms == {socket.id, "r"}
    assert remote.data == {"name": "Ada"}
    assert remote.handshake["auth"] == {"a": 1}
    assert remote.handshake["query"]["token"] == "abc"
