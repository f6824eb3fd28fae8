"""`Operations`: a namespace offers every operation directly."""

from tests.support.fake_engine import Harness


async def test_short_forms_reach_every_socket() -> None:
    harness = Harness()
    _, session = await harness.connected()
    namespace = harness.of("/")
    await namespace.emit("a")
    await namespace.send("b")
    await namespace.local.emit("c")
    await namespace.volatile.emit("d")
    await namespace.compress().emit("e")
    await namespace.except_("nobody").emit("f")
    sent = [f'2["{name}"]' for name in "acdef"]
    assert session.sent[1:] == [sent[0], '2["message","b"]', *sent[1:]]


async def test_send_emits_a_message_everywhere() -> None:
    harness = Harness()
    _, session = await harness.connected()
    namespace = harness.of("/")
    (socket,) = namespace.sockets.values()
    for sender in (
        namespace,
        namespace.to(socket.id),
        namespace.local,
        socket,
        socket.volatile,
        socket.timeout(1),
    ):
        await sender.send("hello", 1)
    assert session.sent[1:] == ['2["message","hello",1]'] * 6


async def test_operations_of_a_single_process() -> None:
    harness = Harness()
    await harness.connected()
    namespace = harness.of("/")
    await namespace.sockets_join("r")
    (remote,) = await namespace.fetch_sockets()
    assert remote.rooms == {remote.id, "r"}
    assert await namespace.rooms() >= {"r"}
    assert namespace.server_count() == 1
    await namespace.sockets_leave("r")
    await namespace.disconnect_sockets(close=True)
    assert not namespace.sockets


async def test_operations_open_the_namespace() -> None:
    await Harness().of("/new").emit("nobody is here")
    await Harness().of("/new").server_side_emit("nobody either")
    assert await Harness().of("/new").server_side_emit_with_ack("nobody either") == []
