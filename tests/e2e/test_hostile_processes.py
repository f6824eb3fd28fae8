"""Processes that are stopped, hang, or run out of descriptors: others go on, and so do they once they can."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import IO

import httpx
import psutil
import pytest
import zmq

from tests.e2e.test_hostile_logs import answers
from tests.support.broker import BrokerProcess
from tests.support.broker_peers import barrier, connected, counted
from tests.support.cluster import process_environment
from tests.support.ports import free_port
from tests.support.py_clients import PyClient
from tests.support.serve_process import ServeProcess
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

FEW_FILES = ("sh", "-c", 'ulimit -n 200; exec "$@"', "sh")
"""Words before a command that leave it 200 descriptors."""
ATTEMPTS = 3
SETTLED = 20
"""Equal totals in a row that show that the count is complete."""
OPEN = {"EIO": "4", "transport": "polling"}
LOG_INTERVAL_S = 10.0
"""A log line about connections that are not accepted is written at most so often."""


def most_lines(began_s: float) -> int:
    """The most log lines of one event and process since then."""
    return 1 + int((time.monotonic() - began_s) / LOG_INTERVAL_S)


async def client_of(server: ServeProcess, pid: int) -> PyClient:
    """Connect clients until one is served by the worker with this process id; return that one.

    The others stay until then: the worker with the fewest connections gets the next one.
    """
    async with asyncio.timeout(LIMIT_S), AsyncExitStack() as others:
        while True:
            client = PyClient(server.url, "websocket")
            await client.connect()
            if (await client.call("whoami"))["pid"] == pid:
                return client
            others.push_async_callback(client.end)


async def open_session_at(server: ServeProcess, http: httpx.AsyncClient, tag: str) -> str:
    """Open polling sessions until one belongs to the worker with this tag; return its id."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            answer = await http.get("/socket.io/", params=OPEN)
            sid = str(answer.text.split('"sid":"')[1].split('"')[0])
            if sid.startswith(tag):
                return sid


async def all_go_to(http: httpx.AsyncClient, pid: int) -> None:
    """Make requests until one worker has answered eight in a row."""
    in_a_row = 0
    async with asyncio.timeout(LIMIT_S):
        while in_a_row < 8:
            try:
                answer = await http.get("/", timeout=LIMIT_S / 10)
            except httpx.TimeoutException:
                in_a_row = 0  # an acceptor did not know yet that the other worker is stalled
            else:
                assert answer.json()["pid"] == pid
                in_a_row += 1


def timed_out_pids(server: ServeProcess) -> set[int]:
    """The workers that were replaced because they did not respond."""
    return {line["pid"] for line in server.log_lines("worker_timed_out")}


def is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


@pytest.mark.parametrize("acceptors", [1, 2])
async def test_stopped_worker_gets_no_connections_and_keeps_its_sessions_when_it_continues(acceptors: int) -> None:
    no_keepalive = httpx.Limits(max_keepalive_connections=0)
    async with ServeProcess("--acceptors", str(acceptors), "--worker-timeout", str(10 * LIMIT_S)) as server:
        line, other = server.log_lines("worker_started")
        async with httpx.AsyncClient(base_url=server.url, limits=no_keepalive, timeout=LIMIT_S) as http:
            sid = await open_session_at(server, http, line["tag"])
            kept = await client_of(server, line["pid"])
            os.kill(line["pid"], signal.SIGSTOP)
            await server.wait_log("worker_stalled")
            await all_go_to(http, other["pid"])
            poll = await http.get("/socket.io/", params={**OPEN, "sid": sid})
            assert poll.status_code == 503
            assert "does not respond" in poll.text
            os.kill(line["pid"], signal.SIGCONT)
            await server.wait_log("worker_recovered")
            assert (await kept.call("whoami"))["pid"] == line["pid"]
            await client_of(server, line["pid"])
        assert not server.log_lines("worker_exited")


async def test_worker_whose_loop_is_blocked_is_replaced() -> None:
    async with ServeProcess("--worker-timeout", "3") as server:
        client = PyClient(server.url, "websocket")
        await client.connect()
        blocked = (await client.call("whoami"))["pid"]
        await client.emit("block")
        await server.wait_for(lambda: blocked in timed_out_pids(server), "the end of its worker")
        await server.wait_ready(3)
        await wait_until(lambda: client.received.disconnects, "the end of its session")
        # Another worker that was slow may have been replaced, too.
        running = {child.pid for child in server.children()}
        assert set(server.worker_pids()[:2]) - timed_out_pids(server) <= running


async def test_workers_survive_a_pause_of_their_parent() -> None:
    for _ in range(ATTEMPTS):
        if not await events_after_a_pause_of_the_parent():
            return
    raise AssertionError("children of a parent that was paused always count as stalled")


async def events_after_a_pause_of_the_parent() -> list[str]:
    """Pause a parent, then restart its workers. Return the events that say that a child has been too slow.

    On a busy machine, a child process may have been slow in fact.
    """
    async with ServeProcess("--acceptors", "2", "--worker-timeout", "2.5") as server:
        client = PyClient(server.url, "websocket")
        await client.connect()
        os.kill(server.pid, signal.SIGSTOP)
        await wait_until(lambda: is_stopped(server.pid), "it to stop")
        await asyncio.sleep(4)  # longer than the time limit for heartbeats
        os.kill(server.pid, signal.SIGCONT)
        server.send_signal(signal.SIGHUP)
        await server.wait_log("rolling_restart_completed")
        await wait_until(lambda: client.received.disconnects, "the end of the replaced worker")
        too_slow = ("worker_stalled", "worker_timed_out", "acceptor_timed_out", "worker_exited")
        return [event for event in too_slow if server.log_lines(event)]


@pytest.mark.parametrize("role", ["control", "publish", "subscribe", "ingest"])
async def test_broker_without_free_descriptors_keeps_its_peers_and_accepts_again_later(role: str) -> None:
    with BrokerProcess(before=FEW_FILES) as broker, zmq.Context() as context, ExitStack() as peers:
        broker_memory = psutil.Process(broker.pid).memory_info

        def exchange(number: int) -> None:
            text = b"topic %d" % number
            publisher.send(text)
            while subscriber.recv() != text:
                pass

        subscriber = peers.enter_context(connected(context, zmq.SUB, broker.endpoint("subscribe")))
        publisher = peers.enter_context(connected(context, zmq.XPUB, broker.endpoint("publish")))
        subscriber.subscribe(b"topic")
        barrier(subscriber)
        assert publisher.recv() == b"\x01"
        exchange(1)
        await counted(broker, "subscribe")
        await counted(broker, "publish")
        before, began_s = broker_memory().rss, time.monotonic()
        port = broker.hello["ports"][role]
        with ExitStack() as strangers:
            for _ in range(400):
                strangers.enter_context(socket.create_connection(("127.0.0.1", port)))
            exchange(2)
            await wait_until(lambda: "accept_failed" in "".join(broker.lines), "the log line")
            exchange(3)
        await wait_until(
            lambda: psutil.Process(broker.pid).num_fds() < 100, "the strangers' descriptors to be free"
        )
        totals = [0]

        def are_settled() -> bool:
            totals.append(broker.statistics()["peers"][role]["accept_failures"])
            return len(totals) > SETTLED and len(set(totals[-SETTLED:])) == 1

        await wait_until(are_settled, "the end of the failures")
        exchange(4)
        assert broker_memory().rss - before < 100 << 20
        assert sum('"accept_failed"' in line for line in broker.lines) <= 1 + most_lines(began_s)


def limited(*arguments: str) -> list[str]:
    """Arguments with which Python runs other arguments with 200 descriptors."""
    program = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200));"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    return ["-c", program, *arguments]


def spawn(arguments: Sequence[str], broker: str, output: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Run Python with a node that joins a broker."""
    environment = process_environment() | {"ZMQIO_ADAPTER": broker}
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


async def crowd(url: str, client: PyClient, crowded: Callable[[], object]) -> None:
    """Open more connections than there are descriptors. The client does not notice; later, new ones work."""
    address = ("127.0.0.1", int(url.rpartition(":")[2]))
    with ExitStack() as strangers:
        for _ in range(400):
            stranger = strangers.enter_context(socket.create_connection(address))
            stranger.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        await wait_until(crowded, "the log line")
        assert await client.call("echo", 1) == 1
    await wait_until(lambda: answers(url), "an answer")
    later = PyClient(url, "websocket")
    await later.connect()
    assert await later.call("echo", 1) == 1
    assert await client.call("echo", 2) == 2
    assert not client.received.disconnects
    await asyncio.gather(later.end(), client.end())


@pytest.mark.parametrize("acceptors", ["1", "2"])
async def test_serve_without_free_descriptors_loses_no_connection_and_accepts_again_later(acceptors: str) -> None:
    options = ("--workers", "1", "--acceptors", acceptors, "--bind", "127.0.0.1:0", "--log-format", "json")
    command = limited("-m", "zmqio", "serve", "tests.support.serve_app:app", *options)
    async with ServeProcess(command=command, workers=1) as server:
        client, began_s = await client_of(server, server.worker_pids()[0]), time.monotonic()
        await crowd(server.url, client, lambda: server.log_lines("accept_failed"))
        assert not server.log_lines("socket_dropped")
        assert len(server.log_lines("accept_failed")) <= 4 * most_lines(began_s)
        assert not server.log_lines("worker_exited")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_node_without_free_descriptors_keeps_its_connections_and_accepts_again_later(
    loop: str, tmp_path: Path
) -> None:
    port = free_port()
    classes = ("--ws", "zmqio.uvicorn:WebSocketProtocol", "--http", "zmqio.uvicorn:HttpProtocol")
    arguments = ("tests.support.serve_app:app", "--port", str(port), "--loop", loop, "--no-access-log", *classes)
    log = tmp_path / "log"
    url = f"http://127.0.0.1:{port}"
    with (
        log.open("wb") as output,
        BrokerProcess() as broker,
        spawn(limited("-m", "uvicorn", *arguments), broker.address, output) as process,
    ):
        try:
            await wait_until(lambda: answers(url), "an answer")
            client = PyClient(url, "websocket")
            await client.connect()
            began_s = time.monotonic()
            await crowd(url, client, lambda: "accept_failed" in log.read_text())
        finally:
            process.terminate()
    assert 1 <= log.read_text().count("accept_failed") <= most_lines(began_s)
    assert log.read_text().count("out of system resource") <= most_lines(began_s)
