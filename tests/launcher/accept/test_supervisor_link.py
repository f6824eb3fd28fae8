"""The acceptor's end of its link, with a plain socket as the supervisor."""

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.testing import capture_logs

from tests.support.timing import wait_until
from zmqio.ids import NodeTag
from zmqio.launcher.accept.acceptor_messages import (
    AcceptorCounters,
    AcceptorReady,
    AddWorker,
    RetireWorker,
    StopAccepting,
    SupervisorMessage,
    WorkerLinkLost,
    encode_message,
)
from zmqio.launcher.accept.supervisor_link import SupervisorLink

TAG = NodeTag("tag1")


class Acceptor:
    """Records what a link reports."""

    def __init__(self) -> None:
        self.messages: list[SupervisorMessage] = []
        self.links: list[socket.socket] = []
        self.ends = 0

    def handle(self, message: SupervisorMessage, link: socket.socket | None) -> None:
        self.messages.append(message)
        if link is not None:
            self.links.append(link)

    def end(self) -> None:
        self.ends += 1


@contextmanager
def link() -> Iterator[tuple[SupervisorLink, socket.socket, Acceptor]]:
    ours, theirs = socket.socketpair()
    acceptor = Acceptor()
    made = SupervisorLink(ours, on_message=acceptor.handle, on_end=acceptor.end)
    with theirs:
        yield made, theirs, acceptor
    made.close()
    for end in acceptor.links:
        end.close()


async def test_messages_arrive_in_order_each_worker_with_its_own_link() -> None:
    with link() as (_made, theirs, acceptor):
        others = []
        for slot in range(50):
            one, other = socket.socketpair()
            others.append(other)
            theirs.sendall(encode_message(RetireWorker(TAG)))
            socket.send_fds(theirs, [encode_message(AddWorker(slot, TAG))], [one.fileno()])
            one.close()
        theirs.sendall(encode_message(StopAccepting()))
        await wait_until(lambda: StopAccepting() in acceptor.messages, "all messages")
        assert acceptor.messages == [
            *(o for slot in range(50) for o in (RetireWorker(TAG), AddWorker(slot, TAG))),
            StopAccepting(),
        ]
        for slot, (end, other) in enumerate(zip(acceptor.links, others, strict=True)):
            assert not end.get_inheritable()
            other.sendall(bytes([slot]))
            assert end.recv(1) == bytes([slot])
            other.close()


async def test_worker_whose_link_cannot_be_received_arrives_without_one() -> None:
    with link() as (_made, theirs, acceptor):
        theirs.sendall(encode_message(AddWorker(1, TAG)))  # without the socket, as when no file can be opened
        await wait_until(lambda: acceptor.messages, "the message")
        assert acceptor.links == []


async def test_messages_are_sent_and_dropped_once_the_supervisor_is_gone() -> None:
    with link() as (made, theirs, acceptor):
        made.send(AcceptorReady())
        made.send(WorkerLinkLost(TAG))
        assert theirs.recv(100) == b"ready\nlost tag1\n"
        theirs.close()
        made.send(AcceptorReady())
        await wait_until(lambda: acceptor.ends == 1, "the end of the link")
        made.close()
        assert acceptor.ends == 1


async def test_heartbeats_to_a_supervisor_that_does_not_read_are_dropped() -> None:
    with link() as (made, theirs, _):
        for _ in range(10_000):
            made.send_heartbeat(AcceptorCounters({"connections_accepted": 12_345}))
        theirs.setblocking(False)
        received = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                received += theirs.recv(1 << 16)
        lines = received.split(b"\n")
        assert set(lines) == {b"alive", b'counted {"connections_accepted": 12345}', b""}
        assert lines[-1] == b""  # the last one is whole, too


async def test_malformed_message_ends_the_link_and_is_logged() -> None:
    with capture_logs() as logs, link() as (_made, theirs, acceptor):
        theirs.sendall(b"what?\n")
        await wait_until(lambda: acceptor.ends == 1, "the end of the link")
    assert [line["event"] for line in logs] == ["supervisor_message_malformed"]
