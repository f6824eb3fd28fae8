"""The servers for tests of sessions: one node, `zmqio serve`, or nginx and HAProxy in front of four nodes."""

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, ClassVar
from urllib.request import urlopen

from tests.support.balancers import Product, ProxiedRequest, haproxy, nginx
from tests.support.broker import BrokerProcess
from tests.support.cluster import NodeProcess, process_environment
from tests.support.cluster_nodes import new_prefix
from tests.support.forked import Process, start
from tests.support.node_config import NodeConfig
from tests.support.ports import free_port
from tests.support.timing import LIMIT_S
from zmqio.recipes.balancing import Balancing, Mode, parse_backend

__all__ = ["TARGETS", "Target", "balanced", "sids_cut"]

LOOPBACK = "127.0.0.1"
WORKERS = 4
DRAIN_S = 3


@dataclass(frozen=True, slots=True)
class Target:
    """A running server.

    Attributes:
        url: the URL for clients.
        spread: whether clients have to come from different networks, because the address decides.
        sticky: whether a client's requests touch no server process but its own, so that others may die without
            effect.
        serve_pid: of `zmqio serve`; None where something else runs the processes.
        sids_cut: given the pid of a killed node, returns the sessions with a request on its connections (see the
            function `sids_cut`); None where that is not known.
    """

    url: str
    spread: bool = False
    sticky: bool = True
    serve_pid: int | None = None
    sids_cut: Callable[[int], set[str]] | None = None


class SessionNode(NodeProcess):
    """A node process that counts the received messages."""

    module: ClassVar[str] = "tests.support.session_app"


@asynccontextmanager
async def direct() -> AsyncIterator[Target]:
    """One node without a balancer, as the control."""
    async with SessionNode(NodeConfig("alone")) as node:
        yield Target(node.url)


@asynccontextmanager
async def balanced(product: Product, mode: Mode, broker: str | None = None) -> AsyncIterator[Target]:
    """Four nodes behind a balancer.

    Args:
        product: `nginx` or `haproxy`.
        mode: how it chooses.
        broker: the address of a running one; None starts one.
    """
    async with AsyncExitStack() as stack:
        address = broker or (await stack.enter_async_context(BrokerProcess())).address
        bus = {"prefix": new_prefix()}
        nodes = [
            SessionNode(NodeConfig(tag, adapter=address, options={"node_tag": tag}, bus=bus))
            for tag in ("nod0", "nod1", "nod2", "nod3")
        ]
        for node in nodes:
            stack.push_async_callback(node.close)
            node.spawn()
        for node in nodes:
            await node.wait_state(
                f"{node.name} counts {len(nodes)} nodes",
                lambda state: state["ready"] and state["server_count"] == len(nodes),
            )
        backends = [parse_backend(f"{node.name}={LOOPBACK}:{node.port}") for node in nodes]
        balancer = await stack.enter_async_context(product(Balancing(backends, mode, clients=1_000)))
        ports = {node.pid: node.port for node in nodes}
        yield Target(
            balancer.url,
            spread=mode == "address",
            sticky=mode != "round-robin",
            sids_cut=lambda pid: sids_cut(balancer.requests(), ports[pid]),
        )


def sids_cut(requests: Sequence[ProxiedRequest], port: int) -> set[str]:
    """The sessions that had a request on a connection to a node when it died.

    Also those whose last answered poll went through it: the node may have died before it confirmed the answer to
    the session's owner, which then ends the session.
    """
    polls: dict[str, list[ProxiedRequest]] = {}
    for one in requests:
        if one.method == "GET":
            polls.setdefault(one.sid, []).append(one)
    unconfirmed = {sid for sid, ended in polls.items() if port in ended[-2:][0].ports}
    return unconfirmed | {one.sid for one in requests if one.failed and port in one.ports}


@asynccontextmanager
async def serve(sticky: str) -> AsyncIterator[Target]:
    """`zmqio serve` with four workers and a broker of its own."""
    port = free_port()
    with tempfile.TemporaryFile("w+") as output:
        process = await asyncio.to_thread(_start_serve, port, sticky, output)
        try:
            await _all_workers(port, process, output)
            yield Target(
                f"http://{LOOPBACK}:{port}",
                spread=sticky == "address",
                sticky=sticky != "none",
                serve_pid=process.pid,
            )
        finally:
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait, 3 * LIMIT_S)


def _start_serve(port: int, sticky: str, output: IO[str]) -> Process:
    options = [f"--workers={WORKERS}", f"--bind={LOOPBACK}:{port}", f"--sticky={sticky}", f"--drain={DRAIN_S}"]
    command = [sys.executable, "-m", "zmqio", "serve", "tests.support.session_served:app", *options]
    return start(command, env=process_environment(), stdout=output)


async def _all_workers(port: int, process: Process, output: IO[str]) -> None:
    """Wait until the workers count each other."""
    ends_at = asyncio.get_running_loop().time() + LIMIT_S
    while await asyncio.to_thread(_count_of_nodes, port) != WORKERS:
        if process.poll() is not None or asyncio.get_running_loop().time() > ends_at:
            output.seek(0)
            raise AssertionError(f"no {WORKERS} workers, exit code {process.returncode}:\n{output.read()}")
        await asyncio.sleep(0.05)


def _count_of_nodes(port: int) -> int:
    try:
        with urlopen(f"http://{LOOPBACK}:{port}/test/", timeout=LIMIT_S) as answer:
            count: int = json.load(answer)["server_count"]
            return count
    except OSError:
        return 0


TARGETS: dict[str, Callable[[], AbstractAsyncContextManager[Target]]] = {
    "direct": direct,
    "serve-sid": partial(serve, "sid"),
    "serve-address": partial(serve, "address"),
    "serve-none": partial(serve, "none"),
    "nginx-ip_hash": partial(balanced, nginx, "address"),
    "nginx-tag": partial(balanced, nginx, "tag"),
    "nginx-round-robin": partial(balanced, nginx, "round-robin"),
    "haproxy-source": partial(balanced, haproxy, "address"),
    "haproxy-tag": partial(balanced, haproxy, "tag"),
    "haproxy-round-robin": partial(balanced, haproxy, "round-robin"),
}
"""Name -> makes the running target."""
