"""`Observer`: the events of namespaces over a fake engine, in their order, beside the application's handlers."""

from collections.abc import Collection, Sequence
from typing import Any

from tests.support.fake_engine import Harness
from zmqio.exceptions import ConnectRefused
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.server.observer import Observer
from zmqio.server.observers import KINDS
from zmqio.server.socket import Socket


class Recorder(Observer):
    """Records every event."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def of(self, *kinds: str) -> list[tuple[Any, ...]]:
        """The recorded events of some kinds."""
        return [entry for entry in self.seen if entry[0] in kinds]

    def namespace_opened(self, namespace: str) -> None:
        self.seen.append(("namespace_opened", namespace))

    def namespace_closed(self, namespace: str) -> None:
        self.seen.append(("namespace_closed", namespace))

    def connected(self, socket: Socket) -> None:
        self.seen.append(("connected", socket.id, sorted(socket.rooms - {socket.id})))

    def disconnected(self, socket: Socket, reason: str) -> None:
        self.seen.append(("disconnected", socket.id, reason, sorted(socket.rooms - {socket.id})))

    def upgraded(self, socket: Socket) -> None:
        self.seen.append(("upgraded", socket.id, socket.namespace))

    def room_joined(self, namespace: str, room: str, sid: str) -> None:
        self.seen.append(("room_joined", namespace, room, sid))

    def room_left(self, namespace: str, room: str, sid: str) -> None:
        self.seen.append(("room_left", namespace, room, sid))

    def event_received(self, socket: Socket, event: str, args: Sequence[Any]) -> None:
        self.seen.append(("event_received", socket.id, event, list(args)))

    def event_sent(self, namespace: str, sids: Collection[str], event: str, args: Sequence[Any]) -> None:
        self.seen.append(("event_sent", namespace, sorted(sids), event, list(args)))


def observed(**options: Any) -> tuple[Harness, Recorder]:
    harness, recorder = Harness(**options), Recorder()
    harness.runtime.observers.add(recorder, Observer)
    return harness, recorder


def test_every_kind_has_a_method() -> None:
    assert {name for name in vars(Observer) if not name.startswith("_")} == set(KINDS)


async def test_life_of_a_socket_in_its_order_beside_the_handlers() -> None:
    harness, recorder = observed()
    handled: list[str] = []
    harness.of("/").on("disconnect", lambda socket, reason: handled.append(reason))

    @harness.of("/").on("connect")
    async def connect(socket: Socket) -> None:
        await socket.join("lobby")

    client, _ = await harness.connected()
    (sid,) = harness.of("/").sockets
    client.closed("transport close")
    await harness.settle()
    await harness.of("/").close()
    assert recorder.seen == [
        ("namespace_opened", "/"),
        ("room_joined", "/", sid, sid),
        ("room_joined", "/", "lobby", sid),
        ("connected", sid, ["lobby"]),
        ("room_left", "/", sid, sid),
        ("room_left", "/", "lobby", sid),
        ("disconnected", sid, "transport close", ["lobby"]),
        ("namespace_closed", "/"),
    ]
    assert handled == ["transport close"]


async def test_refused_client_is_neither_connected_nor_disconnected() -> None:
    harness, recorder = observed()

    @harness.of("/").on("connect")
    def connect(socket: Socket) -> None:
        raise ConnectRefused

    client, _ = harness.client()
    client.message("0")
    await harness.settle()
    client.closed("transport close")
    assert recorder.of("connected", "disconnected") == []


async def test_client_that_is_confirmed_and_then_refused_is_both() -> None:
    harness, recorder = observed()

    @harness.of("/").on("connect")
    async def connect(socket: Socket) -> None:
        socket.confirm_connect()
        raise ConnectRefused

    client, _ = harness.client()
    client.message("0")
    await harness.settle()
    assert [entry[0] for entry in recorder.of("connected", "disconnected")] == ["connected", "disconnected"]


async def test_client_that_goes_during_its_connect_handler_is_neither() -> None:
    harness, recorder = observed()

    @harness.of("/").on("connect")
    def connect(socket: Socket) -> None:
        client.closed("transport close")

    client, _ = harness.client()
    client.message("0")
    await harness.settle()
    assert recorder.of("connected", "disconnected") == []
    assert recorder.of("room_left")


async def test_received_event_is_seen_before_middleware_changes_it() -> None:
    harness, recorder = observed()

    @harness.of("/").on("connect")
    def connect(socket: Socket) -> None:
        socket.use(lambda event, args: args.clear())

    harness.of("/").on("x", lambda socket: None)
    client, _ = await harness.connected()
    (sid,) = harness.of("/").sockets
    client.message('2["x",1,"a"]')
    client.message('2["nobody handles it"]')
    await harness.settle()
    assert recorder.of("event_received") == [
        ("event_received", sid, "x", [1, "a"]),
        ("event_received", sid, "nobody handles it", []),
    ]


async def test_sent_event_is_seen_once_with_all_its_clients() -> None:
    harness, recorder = observed()
    harness.of("/").on("ask", lambda socket: "answer")
    client, _ = await harness.connected()
    await harness.connected()
    one, two = list(harness.of("/").sockets.values())
    await harness.of("/").emit("broadcast", {"a": b"\x01"}, 2)
    await harness.of("/").except_(one.id).volatile.emit("not for one")
    await one.emit("direct", 1)
    await harness.of("/").to("empty room").emit("for nobody")
    client.message('25["ask"]')
    await harness.settle()
    assert recorder.of("event_sent") == [
        ("event_sent", "/", sorted([one.id, two.id]), "broadcast", [{"a": b"\x01"}, 2]),
        ("event_sent", "/", [two.id], "not for one", []),
        ("event_sent", "/", [one.id], "direct", [1]),
    ]


async def test_sent_event_of_another_parser_is_decoded() -> None:
    harness, recorder = observed()
    await harness.connected()
    harness.runtime.parser = MsgpackParser()
    await harness.of("/").emit("x", b"\x00")
    assert recorder.of("event_sent")[0][3:] == ("x", [b"\x00"])


async def test_listeners_of_a_socket_still_receive_their_events() -> None:
    harness, recorder = observed()
    await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    heard: list[Any] = []
    socket.on_any_outgoing(lambda *event: heard.append(event))
    await harness.of("/").emit("broadcast", 1)
    await socket.emit("direct", 2)
    assert heard == [("broadcast", 1), ("direct", 2)]
    assert len(recorder.of("event_sent")) == 2


async def test_upgrade_is_seen_for_each_socket_of_the_connection() -> None:
    harness, recorder = observed()
    client, _ = await harness.connected()
    harness.of("/chat")
    client.message("0/chat,")
    await harness.settle()
    client.upgraded()
    assert sorted(entry[2] for entry in recorder.of("upgraded")) == ["/", "/chat"]


async def test_connection_id_is_shared_by_the_sockets_of_a_connection_and_is_not_its_session_id() -> None:
    harness, _ = observed()
    client, session = await harness.connected()
    harness.of("/chat")
    client.message("0/chat,")
    await harness.connected()
    ids = [socket.connection_id for socket in harness.of("/").sockets.values()]
    (in_chat,) = harness.of("/chat").sockets.values()
    assert in_chat.connection_id == ids[0]
    assert ids[0] != ids[1]
    assert ids[0] not in session.sid and session.sid not in ids[0]
