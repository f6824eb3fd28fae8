"""An acceptor in this process, with plain sockets as its supervisor and workers; and the acceptor program."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from structlog.testing import capture_logs

from tests.support.cluster import process_environment
from tests.support.timing import LIMIT_S, wait_until
from zmqio.ids import NodeTag, make_engine_sid
from zmqio.launcher.accept.acceptor import Acceptor
from zmqio.launcher.accept.acceptor_messages import (
    AddWorker,
    RemoveWorker,
    ResumeWorker,
    RetireWorker,
    StopAccepting,
    SupervisorMessage,
    SuspendWorker,
    encode_message,
)
from zmqio.launcher.listener import BindAddress, listen
from zmqio.launcher.worker.messages import WorkerStopping, encode_worker_message
from zmqio.launcher.worker.spec import ACCEPTOR_SPEC_VARIABLE, AcceptorSpec

ONE, TWO = NodeTag("one1"), NodeTag("two2")


class Worker:
    """The worker's end of a link; keeps the received sockets."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.received: list[socket.socket] = []
        self.saw_end = False
        asyncio.get_running_loop().add_reader(link.fileno(), self.read)

    def read(self) -> None:
        data, fds, _, _ = socket.recv_fds(self.link, 1, 1)
        self.received += [socket.socket(fileno=fd) for fd in fds]
        if not data:
            self.saw_end = True
            self.stop_reading()

    def stop_reading(self) -> None:
        asyncio.get_running_loop().remove_reader(self.link.fileno())

    def end(self) -> None:
        """Close everything, as a killed process does."""
        if self.link.fileno() >= 0:
            self.stop_reading()
            self.link.close()
        for connection in self.received:
            connection.close()


class Host:
    """An acceptor, its supervisor and its workers."""

    def __init__(self) -> None:
        listener = listen(BindAddress(host="127.0.0.1"))
        self.address = listener.getsockname()
        self.supervisor, link = socket.socketpair()
        self.supervisor.setblocking(False)
        self.workers: list[Worker] = []
        self.clients: list[socket.socket] = []
        self.messages = b""
        self.running = asyncio.ensure_future(Acceptor(AcceptorSpec(1, -1, -1), listener, link).run())

    def send(self, message: SupervisorMessage) -> None:
        self.supervisor.sendall(encode_message(message))

    def add(self, slot: int, tag: NodeTag) -> Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.supervisor, [encode_message(AddWorker(slot, tag))], [theirs.fileno()])
        self.workers.append(Worker(ours))
        return self.workers[-1]

    def client(self, tag: NodeTag | None = None) -> socket.socket:
        """Connect a client with a new session, or with one of the worker with this tag."""
        client = socket.create_connection(self.address)
        sid = "" if tag is None else f"?sid={make_engine_sid(tag)}"
        client.sendall(f"GET /{sid} HTTP/1.1\r\n\r\n".encode())
        self.clients.append(client)
        return client

    async def wait_message(self, line: bytes) -> None:
        def received() -> bool:
            with suppress(BlockingIOError):
                self.messages += self.supervisor.recv(1000)
            return line in self.messages

        await wait_until(received, f"{line!r}")

    async def close(self) -> None:
        self.supervisor.close()
        await self.running
        for worker in self.workers:
            worker.end()
        for client in self.clients:
            client.close()


@asynccontextmanager
async def host() -> AsyncIterator[Host]:
    made = Host()
    try:
        yield made
    finally:
        await made.close()


async def test_new_sessions_are_spread_and_known_ones_reach_their_owner() -> None:
    async with host() as h:
        await h.wait_message(b"ready\n")
        one, two = h.add(1, ONE), h.add(2, TWO)
        for _ in range(4):
            h.client()
        await wait_until(lambda: len(one.received) == len(two.received) == 2, "an even spread")
        for _ in range(3):
            h.client(TWO)
        await wait_until(lambda: len(two.received) == 5, "all to reach their owner")


async def test_connections_wait_until_a_worker_is_available() -> None:
    async with host() as h:
        h.client()
        one = h.add(1, ONE)
        await wait_until(lambda: len(one.received) == 1, "the connection")
        h.send(RemoveWorker(ONE))
        await wait_until(lambda: one.saw_end, "the end of its link")
        h.client()
        two = h.add(1, TWO)
        await wait_until(lambda: len(two.received) == 1, "the waiting connection")


async def test_retired_worker_gets_only_its_own_sessions() -> None:
    async with host() as h:
        one, two = h.add(1, ONE), h.add(2, TWO)
        h.send(RetireWorker(ONE))
        for tag in (None, None, ONE, None):
            h.client(tag)
        await wait_until(lambda: (len(one.received), len(two.received)) == (1, 3), "one and three connections")


async def test_suspended_worker_gets_its_sessions_once_it_has_recovered() -> None:
    async with host() as h:
        one, two = h.add(1, ONE), h.add(2, TWO)
        h.send(SuspendWorker(ONE))
        for tag in (ONE, None, None):
            h.client(tag)
        await wait_until(lambda: len(two.received) == 2, "both new sessions")
        assert not one.received
        h.send(ResumeWorker(ONE))
        await wait_until(lambda: len(one.received) == 1, "the session that waited")
        h.send(SuspendWorker(ONE))
        h.client(ONE)
        h.client()
        await wait_until(lambda: len(two.received) == 3, "the next session")
        h.send(RemoveWorker(ONE))
        await wait_until(lambda: len(two.received) == 4, "the session of the removed worker")


async def test_acceptor_sends_heartbeats_with_its_counters() -> None:
    async with host() as h:
        await h.wait_message(b"ready\nalive\ncounted {}\nalive\ncounted {}\n")


async def test_stopping_worker_gets_no_more_connections_and_sees_the_end_of_its_link() -> None:
    async with host() as h:
        one, two = h.add(1, ONE), h.add(2, TWO)
        one.link.sendall(encode_worker_message(WorkerStopping()))
        await wait_until(lambda: one.saw_end, "the end of its link")
        for tag in (None, ONE):
            h.client(tag)
        await wait_until(lambda: len(two.received) == 2, "both connections")
        one.end()
        h.send(RemoveWorker(ONE))
        three = h.add(3, NodeTag("thr3"))
        h.client()
        await wait_until(lambda: three.received, "the connection")
        await h.wait_message(b"ready\n")
        assert b"lost" not in h.messages


async def test_killed_worker_is_reported_and_can_be_linked_again() -> None:
    async with host() as h:
        one, two = h.add(1, ONE), h.add(2, TWO)
        h.client(ONE)
        await wait_until(lambda: one.received, "the connection")
        one.end()
        await h.wait_message(b"lost one1\n")
        h.client(ONE)
        await wait_until(lambda: len(two.received) == 1, "the connection")
        again = h.add(1, ONE)
        h.client(ONE)
        await wait_until(lambda: again.received, "the connection over the new link")


async def test_link_that_cannot_be_received_is_reported() -> None:
    async with host() as h:
        with capture_logs() as logs:
            h.send(AddWorker(1, ONE))  # without the socket, as when no file can be opened
            await h.wait_message(b"lost one1\n")
    assert [line["event"] for line in logs] == ["worker_link_dropped"]


async def test_stop_message_ends_accepting_and_counters_are_sent_at_the_end() -> None:
    async with host() as h:
        one = h.add(1, ONE)
        client = h.client()
        await wait_until(lambda: one.received, "the connection")
        h.send(StopAccepting())
        h.send(RemoveWorker(ONE))
        await wait_until(lambda: one.saw_end, "the end of its link")
        assert not is_listening(h.address)
        assert not h.running.done()
        h.supervisor.shutdown(socket.SHUT_WR)
        await h.running
        await h.wait_message(b'counted {"connections_accepted": 1, "connections_passed": 1}\n')
        one.received[0].sendall(b"still open")
        assert client.recv(100) == b"still open"


async def test_acceptor_exits_when_the_supervisor_is_gone() -> None:
    with capture_logs() as logs:
        async with host() as h:
            h.supervisor.shutdown(socket.SHUT_WR)
            await h.running
            assert not is_listening(h.address)
    assert [line["event"] for line in logs] == ["parent_lost"]


def is_listening(address: Any) -> bool:
    try:
        socket.create_connection(address).close()
    except ConnectionRefusedError:
        return False
    return True


def test_program_uses_inherited_sockets_and_exits_with_its_parent() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(LIMIT_S)
    listener = listen(BindAddress(host="127.0.0.1"))
    with theirs, listener:
        spec = AcceptorSpec(1, listener.fileno(), theirs.fileno(), log_format="json", log_level="warning")
        process = subprocess.Popen(
            [sys.executable, "-m", "zmqio.launcher.accept.acceptor"],
            env=process_environment() | {ACCEPTOR_SPEC_VARIABLE: spec.to_json()},
            pass_fds=[listener.fileno(), theirs.fileno()],
            cwd="/",
            stderr=subprocess.PIPE,
            text=True,
        )
        address = listener.getsockname()
    with process, ours:
        try:
            assert ours.recv(6, socket.MSG_WAITALL) == b"ready\n"  # a heartbeat may have arrived with it
            with socket.create_connection(address):
                ours.close()
                _, errors = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
    assert process.returncode == 0
    assert '"process": "acceptor 1"' in errors
    assert "parent_lost" in errors
    assert not is_listening(address)
