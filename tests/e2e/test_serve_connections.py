"""Connections through `zmqio serve`: slow, half-closed, pipelined, encrypted, proxied."""

import asyncio
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from tests.e2e.conftest import ClientMaker
from tests.support.poll_connection import PollConnection, open_connection
from tests.support.serve_process import ServeProcess
from tests.support.timing import LIMIT_S
from tests.support.tools import require

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPEN = "EIO=4&transport=polling"
FAMILIES = ["tcp", "unix"]
LOOKS = 200


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["1", "2"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[ServeProcess]:
    """Two workers with `sticky="sid"`, behind that many acceptors."""
    async with ServeProcess("--acceptors", request.param) as made:
        yield made


async def session(server: ServeProcess) -> tuple[str, int]:
    """Open a polling session; return its id and its worker."""
    async with open_connection(server.port, "Connection: close") as connection:
        sid = json.loads((await connection.get(OPEN)).text[1:])["sid"]
    return sid, owner(server, sid)


def owner(server: ServeProcess, sid: str) -> int:
    """The worker whose tag a session id has."""
    return next(int(line["pid"]) for line in server.log_lines("worker_started") if line["tag"] == sid[:4])


def cpu_seconds(process: psutil.Process) -> float:
    """The CPU time that a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def pid_on(connection: PollConnection, query: str = "") -> int:
    """The process id of the worker that serves a connection."""
    return int(json.loads((await connection.get(query)).text)["pid"])


async def test_every_request_of_a_session_reaches_its_owner_on_connections_of_their_own(
    server: ServeProcess,
) -> None:
    sessions = [await session(server) for _ in range(8)]
    assert len({pid for _, pid in sessions}) == 2 or server.log_lines("worker_stalled")
    for sid, pid in sessions * 2:
        for query in (f"{OPEN}&sid={sid}", f"sid={sid}&x=1", f"x=1&s%69d={sid}&t=2"):
            async with open_connection(server.port, path="/") as connection:
                assert await pid_on(connection, query) == pid
        async with open_connection(server.port, path=f"http://x:{server.port}/") as connection:
            assert await pid_on(connection, f"sid={sid}") == pid
        async with open_connection(server.port) as connection:
            connection.request(f"{OPEN}&sid={sid}", method="POST", body="3")
            assert (await connection.answer()).status == 200


async def test_unknown_session_is_answered_400_by_a_worker(server: ServeProcess) -> None:
    async with open_connection(server.port) as connection:
        answer = await connection.get(f"{OPEN}&sid=nobodys_0123456789ab")
        assert answer.status == 400


async def test_request_that_arrives_byte_by_byte_reaches_the_owner(server: ServeProcess) -> None:
    sid, pid = await session(server)
    data = f"GET /?x=1&sid={sid} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in data:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.001)
    assert (await whole_answer(reader))["pid"] == pid
    writer.close()


async def test_body_of_900_kb_that_comes_with_its_head_and_after_it(server: ServeProcess) -> None:
    sid, pid = await session(server)
    head = f"POST /?sid={sid} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 900000\r\n\r\n".encode()
    for first in (len(head), len(head) + 10, len(head) + 100_000):
        data = head + b"x" * 900_000
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(data[:first])
        await writer.drain()
        writer.write(data[first:])
        answer = await whole_answer(reader)
        assert (answer["pid"], answer["size"]) == (pid, 900_000)
        writer.close()


@pytest.mark.parametrize("path", ["/", "/later"])
async def test_half_closed_client_gets_its_answer(server: ServeProcess, path: str) -> None:
    sid, pid = await session(server)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"POST {path}?sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".encode())
    writer.write_eof()
    answer = await whole_answer(reader)
    assert (answer["pid"], answer["size"]) == (pid, 5)
    writer.close()


async def test_pipelined_requests_are_all_answered_in_order(server: ServeProcess) -> None:
    async with open_connection(server.port, path="/") as connection:
        for number in range(20):
            connection.request(f"n={number}")
        answers = [json.loads((await connection.answer()).text) for _ in range(20)]
    assert [answer["query"] for answer in answers] == [f"n={number}" for number in range(20)]
    assert len({answer["pid"] for answer in answers}) == 1


async def test_application_sees_the_client_address_of_a_trusted_proxy(
    server: ServeProcess,
) -> None:
    async with open_connection(server.port, "X-Forwarded-For: 203.0.113.9", path="/") as connection:
        assert json.loads((await connection.get("")).text)["client"][0] == "203.0.113.9"


async def test_by_address_clients_behind_a_proxy_have_one_worker_each() -> None:
    async with ServeProcess("--sticky", "address") as server:
        found: dict[str, set[int]] = {}
        for number in [*range(20), *range(20)]:
            header = f"X-Forwarded-For: 203.0.113.{number}"
            async with open_connection(server.port, header, path="/") as connection:
                found.setdefault(header, set()).add(await pid_on(connection))
        assert all(len(pids) == 1 for pids in found.values()) or server.log_lines("worker_stalled")
        assert len(set.union(*found.values())) == 2 or server.log_lines("worker_stalled")


async def test_forwarded_address_of_an_untrusted_client_is_ignored() -> None:
    async with ServeProcess("--sticky", "address", "--trusted-proxies", "192.0.2.1") as server:
        pids = set()
        for number in range(10):
            header = f"X-Forwarded-For: 203.0.113.{number}"
            async with open_connection(server.port, header, path="/") as connection:
                pids.add(await pid_on(connection))
        assert len(pids) == 1 or server.log_lines("worker_stalled")


async def test_none_chooses_workers_in_turn() -> None:
    async with ServeProcess("--sticky", "none") as server:
        pids = []
        for _ in range(6):
            async with open_connection(server.port, path="/") as connection:
                pids.append(await pid_on(connection))
        if not server.log_lines("worker_stalled"):
            assert pids[:2] * 3 == pids
            assert len(set(pids)) == 2


@pytest.mark.parametrize("family", FAMILIES)
async def test_incomplete_heads_take_no_cpu_and_time_out(family: str, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    bind = f"unix:{path}" if family == "unix" else "127.0.0.1:0"
    async with ServeProcess("--head-timeout", "1.5", bind=bind) as server:
        ends = []
        for _ in range(20):
            reader, writer = await connect(server, path if family == "unix" else None)
            writer.write(b"GET / HTTP/1.1\r\nHos")
            ends.append((reader, writer))
        parent = psutil.Process(server.pid)
        used = cpu_seconds(parent)
        seen = []
        for _ in range(LOOKS):
            seen.append(parent.status())
            await asyncio.sleep(0.003)
        # A process that gets no CPU is not asleep either, but it has used little.
        assert seen.count(psutil.STATUS_SLEEPING) > LOOKS // 2 or cpu_seconds(parent) - used < 0.1, "it spins"
        for reader, writer in ends:
            answer = await asyncio.wait_for(reader.read(), LIMIT_S)
            assert answer.startswith(b"HTTP/1.1 408 ")
            writer.close()
        told = await server.wait_log("connection_rejected")
        assert told[0]["reason"] == "heads_timed_out"
        assert len(told) <= 10


@pytest.mark.parametrize("acceptors", ["1", "2"])
async def test_unix_socket_is_served_and_removed(tmp_path: Path, acceptors: str) -> None:
    path = tmp_path / "app.sock"
    async with ServeProcess("--acceptors", acceptors, bind=f"unix:{path}") as server:
        for _ in range(3):
            reader, writer = await connect(server, path)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await whole_answer(reader))["pid"] in server.worker_pids()
            writer.close()
        await server.stop()
    assert not path.exists()


@pytest.mark.parametrize(("sticky", "acceptors"), [(None, "1"), ("none", "1"), (None, "2")])
async def test_tls(make_client: ClientMaker, tmp_path: Path, sticky: str | None, acceptors: str) -> None:
    certificate, key = make_certificate(tmp_path)
    options = ["--ssl-certfile", str(certificate), "--ssl-keyfile", str(key), "--acceptors", acceptors]
    async with ServeProcess(*options, *(["--sticky", sticky] if sticky else [])) as server:
        assert server.url.startswith("https://")
        assert server.log_lines("server_started")[0]["sticky"] == (sticky or "address")
        context = ssl.create_default_context(cafile=str(certificate))
        for _ in range(4):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
            body = b"x" * 300_000
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + body)
            answer = await one_answer(reader)
            assert answer["size"] == 300_000
            writer.close()
        if sticky is None:
            assert len(server.log_lines("sticky_defaulted")) == 1
            for way in ("polling", "upgrade", "websocket"):
                client = make_client("js", server.url, way, rejectUnauthorized=False)
                await client.connect()
                assert await client.call("echo", "secret") == "secret"
                await client.drop()


async def connect(server: ServeProcess, path: Path | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if path is not None:
        return await asyncio.open_unix_connection(str(path))
    return await asyncio.open_connection("127.0.0.1", server.port)


async def whole_answer(reader: asyncio.StreamReader) -> Any:
    """The body of the answer after which the server closes."""
    answer = await asyncio.wait_for(reader.read(), LIMIT_S)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer
    return json.loads(body)


async def one_answer(reader: asyncio.StreamReader) -> Any:
    """The body of the next answer of a connection that stays open."""
    async with asyncio.timeout(LIMIT_S):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        return json.loads(await reader.readuntil(b"}"))


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = [require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True, timeout=LIMIT_S)
    return certificate, key
