"""`broadcast_frames` writes to descriptors where direct writes are open, and through the session elsewhere."""

import os
import socket
import weakref
from collections.abc import Iterator

import pytest

from zmqio.engine.direct_write import NO_FD, DirectWriter, broadcast_frames
from zmqio.engine.packets import Prepared


class Client:
    """One end of a connection; data not written into it directly is in `direct` or `detour`."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.setblocking(False)
        self.direct: list[bytes | memoryview] = []
        self.detour: list[tuple[Prepared, bool]] = []
        self.direct_writer = DirectWriter(self.way)

    def way(self, payload: Prepared, /, *, volatile: bool = False) -> None:
        self.detour.append((payload, volatile))

    def open(self, *, bare: bool = True) -> None:
        self.direct_writer.open(self.direct.append, self.ours.fileno() if bare else NO_FD)

    def fill(self) -> None:
        while True:
            try:
                self.ours.send(b"f" * 4096)
            except BlockingIOError:
                return

    def received(self) -> bytes:
        return self.theirs.recv(1 << 20)

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    made = [Client() for _ in range(3)]
    yield made
    for client in made:
        client.close()


def test_frames_go_straight_into_open_lanes(clients: list[Client]) -> None:
    for client in clients:
        client.open()
    broadcast_frames(
        [clients[0].direct_writer, None, clients[2].direct_writer], Prepared(["4a", b"b"]), volatile=False
    )
    assert clients[0].received() == clients[2].received() == b"\x81\x024a\x82\x01b"
    assert [client.direct for client in clients] == [[], [], []]


def test_closed_lane_takes_the_sessions_way(clients: list[Client]) -> None:
    payload = Prepared(["4a"])
    clients[1].open()
    clients[1].direct_writer.close()
    broadcast_frames([client.direct_writer for client in clients], payload, volatile=True)
    assert [client.detour for client in clients] == [[(payload, True)]] * 3


def test_lane_without_a_descriptor_takes_the_sessions_way(clients: list[Client]) -> None:
    clients[0].open(bare=False)
    broadcast_frames([clients[0].direct_writer], Prepared(["4a"]), volatile=False)
    assert len(clients[0].detour) == 1


def test_writer_of_an_ended_session_drops_packets_and_forgets_the_session(clients: list[Client]) -> None:
    ended, open_one = clients[:2]
    ended.open()
    open_one.open()
    ended.direct_writer.end()
    payload = Prepared(["4hello"])
    broadcast_frames([ended.direct_writer, open_one.direct_writer], payload, volatile=False)
    assert open_one.received() == payload.ws_frames
    assert ended.direct == ended.detour == []
    session = weakref.ref(ended)
    del ended
    clients.pop(0).close()
    assert session() is None


def test_room_without_websocket_clients_encodes_no_frames(clients: list[Client]) -> None:
    payload = Prepared(["4a"])
    broadcast_frames([client.direct_writer for client in clients], payload, volatile=False)
    assert [name for name in Prepared.__slots__ if getattr(payload, name)] == ["packets"]


def test_what_the_descriptor_does_not_take_goes_to_the_transport(clients: list[Client]) -> None:
    payload = Prepared(["4" + "x" * 5_000_000])
    clients[0].open()
    clients[1].open()
    broadcast_frames([clients[0].direct_writer, clients[1].direct_writer], payload, volatile=False)
    for client in clients[:2]:
        (rest,) = client.direct
        assert isinstance(rest, memoryview)
        assert rest.obj is payload.ws_frames  # no copy: many clients may have a rest of the same broadcast
        taken = len(payload.ws_frames) - len(rest)
        assert 0 < taken < len(payload.ws_frames)
        assert payload.ws_frames[taken:] == rest


def test_full_connection_gets_whole_frames_by_its_transport(clients: list[Client]) -> None:
    clients[0].open()
    clients[0].fill()
    clients[1].open()
    broadcast_frames([clients[0].direct_writer, clients[1].direct_writer], Prepared(["4a"]), volatile=False)
    assert clients[0].direct == [b"\x81\x024a"]
    assert clients[1].received() == b"\x81\x024a"


def test_broken_connection_is_left_to_its_transport(clients: list[Client]) -> None:
    clients[0].open()
    clients[0].theirs.close()
    clients[1].open()
    broadcast_frames([clients[0].direct_writer, clients[1].direct_writer], Prepared(["4a"]), volatile=False)
    assert clients[0].direct == [b"\x81\x024a"]
    assert clients[1].received() == b"\x81\x024a"


def test_lane_that_closed_meanwhile_finishes_nothing(clients: list[Client]) -> None:
    clients[0].open()
    clients[0].direct_writer.close()
    clients[0].direct_writer.write_rest(b"rest", 1)
    assert clients[0].direct == []
    assert os.fstat(clients[0].ours.fileno())  # it is the connection's, not the direct writer's


def _has(payload: Prepared, name: str) -> bool:
    try:
        object.__getattribute__(payload, name)
    except AttributeError:
        return False
    return True


def test_large_packets_are_compressed_for_clients_that_take_it(clients: list[Client]) -> None:
    for client in clients:
        client.open()
    clients[0].direct_writer.deflate_bytes = clients[1].direct_writer.deflate_bytes = 100
    clients[1].fill()
    small, large = Prepared(["4small"]), Prepared(["4" + "large" * 50])
    for payload in (small, large):
        broadcast_frames([client.direct_writer for client in clients], payload, volatile=False)
    assert clients[0].received() == small.ws_frames + large.deflated_frames
    assert b"".join(clients[1].direct) == small.ws_frames + large.deflated_frames  # its connection was full
    assert clients[2].received() == small.ws_frames + large.ws_frames
