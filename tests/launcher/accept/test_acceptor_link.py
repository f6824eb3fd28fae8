"""The supervisor's end of a link to an acceptor, with a plain socket as the acceptor."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.testing import capture_logs

from tests.support.timing import wait_until
from zmqio.ids import NodeTag
from zmqio.launcher.accept.acceptor_link import MAX_PENDING_MESSAGES, AcceptorLink
from zmqio.launcher.accept.acceptor_messages import (
    AcceptorCounters,
    AcceptorMessage,
    AcceptorReady,
    AddWorker,
    RetireWorker,
    StopAccepting,
    WorkerLinkLost,
    encode_message,
)

TAG = NodeTag("tag1")


@contextmanager
def link() -> Iterator[tuple[AcceptorLink, socket.socket, list[AcceptorMessage]]]:
    ours, theirs = socket.socketpair()
    received: list[AcceptorMessage] = []
    made = AcceptorLink(ours, received.append)
    with theirs:
        yield made, theirs, received
    made.close()


async def test_message_carries_a_socket_that_is_closed_here() -> None:
    with link() as (made, theirs, _):
        passed, other = socket.socketpair()
        assert made.send_message(AddWorker(1, TAG), passed)
        assert made.send_message(RetireWorker(TAG))
        assert passed.fileno() == -1
        data, fds, _, _ = socket.recv_fds(theirs, 1000, 1)
        assert data == encode_message(AddWorker(1, TAG))
        assert theirs.recv(1000) == encode_message(RetireWorker(TAG))
        with socket.socket(fileno=fds[0]) as arrived, other:
            arrived.sendall(b"x")
            assert other.recv(1) == b"x"


async def test_messages_are_received_including_the_last_ones() -> None:
    with link() as (made, theirs, received):
        theirs.sendall(encode_message(AcceptorReady()) + encode_message(WorkerLinkLost(TAG)) + b"coun")
        await wait_until(lambda: len(received) == 2, "two messages")
        theirs.sendall(b'ted {"connections_accepted": 7}\n')
        theirs.close()
        made.read_remaining()
        assert received == [AcceptorReady(), WorkerLinkLost(TAG), AcceptorCounters({"connections_accepted": 7})]


async def test_messages_for_an_acceptor_that_does_not_read_are_queued_in_order_up_to_a_limit() -> None:
    with link() as (made, theirs, _):
        count = 0
        while made.send_message(AddWorker(count, TAG)):
            count += 1
        assert count > MAX_PENDING_MESSAGES
        made.finish()
        theirs.setblocking(False)
        received = bytearray()

        def ended() -> bool:
            try:
                while data := theirs.recv(1 << 16):
                    received.extend(data)
            except BlockingIOError:
                return False
            return True

        await wait_until(ended, "the end of the link")
        assert bytes(received) == b"".join(encode_message(AddWorker(slot, TAG)) for slot in range(count))


async def test_messages_to_a_dead_acceptor_are_dropped_and_their_sockets_closed() -> None:
    with link() as (made, theirs, _):
        theirs.close()
        for _ in range(3):
            passed, other = socket.socketpair()
            assert made.send_message(AddWorker(1, TAG), passed)
            with other:
                assert other.recv(1) == b""
        made.finish()
        assert made.send_message(StopAccepting())


async def test_close_closes_queued_sockets() -> None:
    with link() as (made, _theirs, _):
        ends = []
        for _ in range(1_000):  # more than the socket buffers
            passed, other = socket.socketpair()
            ends.append(other)
            assert made.send_message(AddWorker(1, TAG), passed)
        made.close()
        made.close()
        assert ends[-1].recv(1) == b""
        for end in ends:
            end.close()


async def test_malformed_message_breaks_the_link_and_is_logged() -> None:
    with capture_logs() as logs, link() as (_made, theirs, _received):
        theirs.sendall(b"what?\n")
        await wait_until(lambda: logs, "the log line")
    assert [line["event"] for line in logs] == ["acceptor_message_malformed"]
