"""`NamespaceMembers`: what an adapter may request from the sockets of this process."""

from typing import Any

import pytest

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


async def test_only_packets_for_several_sockets_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    await harness.connected()
    await harness.connected()
    members = harness.of("/")._members
    sids = list(harness.of("/").sockets)
    prepared: list[Any] = []
    prepare = harness.runtime.engine.prepare
    monkeypatch.setattr(
        harness.runtime.engine, "prepare", lambda frames: prepared.append(prepare(frames)) or prepared[-1]
    )
    members.deliver(sids[:1], ("2[]",))
    members.deliver(sids, ("2[]",))
    assert [one.is_shared for one in prepared] == [False, True]


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
