"""`NamespaceMembers`: what an adapter may request from the sockets of this process."""

from tests.support.fake_engine import IDENTITY, Harness
from zmqio.ids import Sid


async def test_delivery_ignores_unknown_ids() -> None:
    harness = Harness()
    _, session = await harness.connected()
    (sid,) = harness.of("/").sockets
    harness.of("/").adapter  # noqa: B018 - it is open
    members = harness.of("/")._members
    members.deliver([Sid("nobody"), sid], ("2[]",))
    assert session.sent[1:] == ["2[]"]


async def test_description_contains_id_node_rooms_data_and_handshake() -> None:
    harness = Harness()
    await harness.connected(auth='{"a":1}')
    (socket,) = harness.of("/").sockets.values()
    socket.data["name"] = "Ada"
    await socket.join("r")
    (remote,) = await harness.of("/").fetch_sockets()
    assert remote.id == socket.id
    assert remote.node_id == IDENTITY.node_id
    assert remote.rooms == {socket.id, "r"}
    assert remote.data == {"name": "Ada"}
    assert remote.handshake["auth"] == {"a": 1}
    assert remote.handshake["query"]["token"] == "abc"
