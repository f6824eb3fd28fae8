"""The supervisor's end of a link to an acceptor, against a plain socket."""

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


async def test_order_takes_a_socket_along_which_is_closed_here() -> None:
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


async def test_notes_are_heard_and_the_last_ones_too() -> None:
    with link() as (made, theirs, received):
        theirs.sendall(encode_message(AcceptorReady()) + encode_message(WorkerLinkLost(TAG)) + b"coun")
        await wait_until(lambda: len(received) == 2, "both")
        theirs.sendall(b'ted {"connections_accepted": 7}\n')
        theirs.close()
        made.read_remaining()
        assert received == [AcceptorReady(), WorkerLinkLost(TAG), AcceptorCounters({"connections_accepted": 7})]


async def test_orders_wait_for_an_acceptor_that_reads_none_up_to_a_bound_and_in_order() -> None:
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

        await wait_until(ended, "the end")
        assert bytes(received) == b"".join(encode_message(AddWorker(slot, TAG)) for slot in range(count))


async def test_acceptor_that_is_gone_takes_orders_in_silence_and_their_sockets_are_closed() -> None:
    with link() as (made, theirs, _):
        theirs.close()
        for _ in range(3):
            passed, other = socket.socketpair()
            assert made.send_message(AddWorker(1, TAG), passed)
            with other:
                assert other.recv(1) == b""
        made.finish()
        assert made.send_message(StopAccepting())


async def test_closing_closes_what_waits() -> None:
    with link() as (made, _theirs, _):
        ends = []
        for _ in range(1_000):  # more than fit into the socket
            passed, other = socket.socketpair()
            ends.append(other)
            assert made.send_message(AddWorker(1, TAG), passed)
        made.close()
        made.close()
        assert ends[-1].recv(1) == b""
        for end in ends:
            end.close()


async def test_rubbish_breaks_the_link_and_is_told() -> None:
    with capture_logs() as logs, link() as (_made, theirs, _heard):
        theirs.sendall(b"what?\n")
        await wait_until(lambda: logs, "it is told")
    assert [line["event"] for line in logs] == ["acceptor_message_malformed"]
