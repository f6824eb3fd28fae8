"""The balancer with real sockets and workers that only keep them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.timing import LIMIT_S, wait_until
from zmqio.ids import NodeTag, make_engine_sid
from zmqio.launcher.accept import balancer, held_connections
from zmqio.launcher.accept.balancer import Balancer
from zmqio.launcher.listener import BindAddress, listen
from zmqio.launcher.routing.worker_choice import Sticky, WorkerChoice
from zmqio.trusted_proxies import TrustedProxies

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SHORT_S = 0.05
"""A time limit for tests in which it expires."""


class Worker:
    """Keeps the connections passed to it."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.tag = NodeTag(f"tag{slot}")
        self.broken = False
        self.full = False
        self.received: list[socket.socket] = []

    @property
    def connections(self) -> int:
        return len(self.received)

    def pass_socket(self, connection: socket.socket) -> bool:
        if self.broken or self.full:
            return False
        self.received.append(connection)
        return True


class Host:
    """A balancer, its workers and its clients."""

    def __init__(self, listener: socket.socket, sticky: Sticky, **options: Any) -> None:
        self.address = listener.getsockname()
        self.family = listener.family
        self.workers = [Worker(slot) for slot in range(3)]
        self.choice: WorkerChoice[Worker] = WorkerChoice(sticky)
        for worker in self.workers:
            self.choice.add(worker)
        self.balancer = Balancer(listener, self.choice, proxies=TrustedProxies("127.0.0.1"), **options)
        self.clients: list[socket.socket] = []

    async def client(self, data: bytes = b"") -> socket.socket:
        """Connect a client and send `data`."""
        client = socket.socket(self.family)
        client.setblocking(False)
        self.clients.append(client)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, self.address)
        await loop.sock_sendall(client, data)
        return client

    async def given(self, count: int) -> list[socket.socket]:
        """Wait until that many connections were given to workers."""
        await wait_until(
            lambda: self.balancer.counters["connections_passed"] >= count, f"{count} connections given"
        )
        return [connection for worker in self.workers for connection in worker.received]

    def close(self) -> None:
        self.balancer.close()
        for end in (*self.clients, *(connection for worker in self.workers for connection in worker.received)):
            end.close()


@asynccontextmanager
async def host(sticky: Sticky = "sid", bind: BindAddress | None = None, **options: Any) -> AsyncIterator[Host]:
    made = Host(listen(bind or BindAddress(host="127.0.0.1")), sticky, **options)
    made.balancer.resume()
    try:
        yield made
    finally:
        made.close()


async def read(client: socket.socket) -> bytes:
    """Read all that a client is sent until its connection is closed."""
    answer = b""
    while data := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 65536), LIMIT_S):
        answer += data
    return answer


def poll(worker: Worker) -> bytes:
    return f"GET /socket.io/?EIO=4&sid={make_engine_sid(worker.tag)} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_session_reaches_its_owner_with_every_byte() -> None:
    async with host() as h:
        owner = h.workers[1]
        data = poll(owner) + b"a body " * 3_000 + poll(owner)
        for _ in range(3):
            await h.client(data)
        await h.given(3)
        assert len(owner.received) == 3
        loop = asyncio.get_running_loop()
        for connection in owner.received:
            connection.setblocking(False)
            received = b""
            while len(received) < len(data):
                received += await asyncio.wait_for(loop.sock_recv(connection, 65536), LIMIT_S)
            assert received == data


async def test_new_sessions_are_spread() -> None:
    async with host() as h:
        for _ in range(6):
            await h.client(GET)
        await h.given(6)
        assert [len(worker.received) for worker in h.workers] == [2, 2, 2]


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_head_that_arrives_byte_by_byte_is_passed_on_once_and_unchanged(kind: str, tmp_path: Path) -> None:
    bind = BindAddress(path=str(tmp_path / "s")) if kind == "unix" else None
    async with host(bind=bind) as h:
        data = poll(h.workers[2])
        client = await h.client()
        for byte in data:
            assert h.balancer.counters["connections_passed"] == 0
            client.send(bytes([byte]))
            await asyncio.sleep(0.001)
        await h.given(1)
        (connection,) = h.workers[2].received
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1
        assert connection.recv(65536, socket.MSG_DONTWAIT) == data
        assert h.balancer.pending_heads == 0


@pytest.mark.parametrize("part", [b"", b"GET / HTT", GET[:-1]])
async def test_incomplete_head_is_answered_408_after_the_time_limit(part: bytes) -> None:
    async with host(head_limit_s=SHORT_S) as h:
        clients = [await h.client(part) for _ in range(3)]
        for client in clients:
            answer = await read(client)
            assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
            assert b"connection: close" in answer
        assert h.balancer.counters["heads_timed_out"] == 3
        assert h.balancer.pending_heads == 0


async def test_timed_out_heads_are_logged_at_a_limited_rate() -> None:
    with capture_logs() as logs:
        async with host(head_limit_s=SHORT_S) as h:
            for client in [await h.client(b"GET") for _ in range(40)]:
                await read(client)
    lines = [line for line in logs if line["event"] == "connection_rejected"]
    assert 0 < len(lines) <= 10
    assert lines[0]["reason"] == "heads_timed_out"


async def test_slow_heads_do_not_delay_other_connections() -> None:
    async with host() as h:
        for _ in range(50):
            await h.client(b"GET / HTTP/1.1\r\n")
        await h.client(GET)
        await h.given(1)
        await wait_until(lambda: h.balancer.pending_heads == 50, "the other connections to wait")


async def test_head_that_is_too_long_is_answered_431() -> None:
    async with host() as h:
        client = await h.client(b"GET / HTTP/1.1\r\n" + b"x" * ((1 << 15) - 16))
        assert (await read(client)).startswith(b"HTTP/1.1 431 ")
        assert h.balancer.counters["heads_too_large"] == 1


@pytest.mark.parametrize("part", [b"", b"GET / HTTP/1.1\r\n"])
async def test_client_that_disconnects_early_is_dropped(part: bytes) -> None:
    async with host() as h:
        client = await h.client(part)
        await wait_until(lambda: h.balancer.pending_heads == 1, "the connection to wait")
        client.close()
        await wait_until(lambda: h.balancer.counters["connections_abandoned"] == 1, "the disconnect")
        assert h.balancer.pending_heads == 0


async def test_half_closed_client_with_a_complete_request_is_passed_on() -> None:
    async with host() as h:
        client = await h.client(GET)
        client.shutdown(socket.SHUT_WR)
        (connection,) = await h.given(1)
        assert connection.recv(65536) == GET


async def test_connections_are_passed_on_at_once_when_heads_are_not_read() -> None:
    async with host("none", reads_heads=False) as h:
        for _ in range(3):
            await h.client()
        await h.given(3)
        assert [len(worker.received) for worker in h.workers] == [1, 1, 1]


async def test_forwarded_address_of_a_trusted_proxy_selects_the_worker() -> None:
    async with host("address") as h:
        for number in range(30):
            forwarded = f"GET / HTTP/1.1\r\nX-Forwarded-For: 10.0.0.{number}\r\n\r\n".encode()
            await h.client(forwarded)
            await h.client(forwarded)
        await h.given(60)
        seen: dict[bytes, set[int]] = {}
        for worker in h.workers:
            assert worker.received
            for connection in worker.received:
                seen.setdefault(connection.recv(1000), set()).add(worker.slot)
        assert len(seen) == 30
        assert all(len(slots) == 1 for slots in seen.values())


async def test_broken_worker_is_skipped() -> None:
    async with host() as h:
        h.workers[0].broken = h.workers[1].broken = True
        await h.client(poll(h.workers[0]))
        await h.given(1)
        assert len(h.workers[2].received) == 1
        assert list(h.choice) != h.workers


@pytest.mark.parametrize("why", ["no worker", "full worker"])
async def test_connection_that_no_worker_accepts_is_answered_503(why: str) -> None:
    async with host() as h:
        for worker in h.workers:
            if why == "no worker":
                h.choice.remove(worker)
            worker.full = True
        client = await h.client(poll(h.workers[0]))
        assert (await read(client)).startswith(b"HTTP/1.1 503 ")
        assert h.balancer.counters["connections_rejected"] == 1


async def test_connections_wait_in_the_kernel_while_paused() -> None:
    async with host() as h:
        h.balancer.pause()
        await h.client(GET)
        await asyncio.sleep(0.01)
        assert h.balancer.counters["connections_accepted"] == 0
        h.balancer.resume()
        h.balancer.resume()
        await h.given(1)


async def test_close_stops_listening_and_drops_incomplete_heads() -> None:
    async with host() as h:
        client = await h.client(b"GET")
        await wait_until(lambda: h.balancer.pending_heads == 1, "the connection to wait")
        h.balancer.close()
        with pytest.raises(ConnectionResetError):  # closed with unread bytes
            await read(client)
        with pytest.raises(ConnectionRefusedError):
            await h.client()
        h.balancer.resume()
        h.balancer.close()


async def test_connection_of_a_stalled_worker_waits_until_it_recovers() -> None:
    async with host() as h:
        owner = h.workers[1]
        h.choice.suspend(owner)
        await h.client(poll(owner))
        await h.client(GET)
        (other,) = await h.given(1)
        assert other not in owner.received
        h.choice.resume(owner)
        h.balancer.release(owner.tag)
        await h.given(2)
        assert len(owner.received) == 1


async def test_connection_of_a_stalled_worker_that_is_removed_reaches_another() -> None:
    async with host() as h:
        owner = h.workers[1]
        h.choice.suspend(owner)
        await h.client(poll(owner))
        await h.client(GET)
        await h.given(1)
        h.choice.remove(owner)
        h.balancer.release(owner.tag)
        await h.given(2)
        assert not owner.received


async def test_connection_of_a_worker_that_stays_stalled_is_answered_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_connections, "HELD_LIMIT_S", SHORT_S)
    async with host() as h:
        h.choice.suspend(h.workers[1])
        answer = await read(await h.client(poll(h.workers[1])))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert answer.endswith(b"The process that owns this session does not respond. Try again, or reconnect.\n")
        monkeypatch.setattr(held_connections, "MAX_HELD", 0)
        await read(await h.client(poll(h.workers[1])))
        assert h.balancer.counters["stalled_sessions_rejected"] == 2


class Reserve:
    """Reports what the test has set as `reached`."""

    reached = True

    def is_reached(self, _: int) -> bool:
        return self.reached

    def is_untouched(self) -> bool:
        return not self.reached


async def test_connections_wait_in_the_kernel_while_few_descriptors_are_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(balancer, "ACCEPT_RETRY_S", 0.01)
    monkeypatch.setattr(balancer, "DescriptorReserve", Reserve)
    with capture_logs() as logs:
        async with host() as h:
            for _ in range(5):
                await h.client(GET)
            await h.given(1)
            h.balancer.pause()
            h.balancer.resume()
            await asyncio.sleep(0.05)
            assert h.balancer.counters["connections_accepted"] == 1
            monkeypatch.setattr(Reserve, "reached", False)
            await h.given(5)
            monkeypatch.setattr(Reserve, "reached", True)
            await h.client(GET)
            await h.given(6)
            h.balancer.pause()
            monkeypatch.setattr(Reserve, "reached", False)
            await h.client(GET)
            await asyncio.sleep(0.05)
            assert h.balancer.counters["connections_accepted"] == 6  # paused for lack of workers, too
    assert [line["event"] for line in logs] == ["accept_failed"]
