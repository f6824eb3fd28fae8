"""The nodes of one contestant with a client on each; ready when all nodes receive from each other."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psutil

from tests.bench.cluster_peers.peers import Peer
from tests.bench.cluster_peers.processes import Child, cpu_s
from tests.bench.cluster_peers.ws_client import WsClient

__all__ = ["Cluster", "Usage", "running"]

READY_LIMIT_S = 30.0
ASK_AGAIN_S = 0.3


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds of all threads, user and system; or bytes of resident memory.

    Attributes:
        nodes: of each node.
        hub: of the broker or Redis.
    """

    nodes: tuple[float, ...]
    hub: float

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(tuple(a - b for a, b in zip(self.nodes, other.nodes, strict=True)), self.hub - other.hub)

    @property
    def total(self) -> float:
        """Of all together."""
        return sum(self.nodes) + self.hub


class Cluster:
    """Made by `running`.

    Args:
        nodes: their processes.
        clients: one on each node.
        hub_pid: of the broker or Redis.
    """

    def __init__(self, nodes: list[Child], clients: list[WsClient], hub_pid: int) -> None:
        self.clients = clients
        self._nodes = nodes
        self._hub_pid = hub_pid
        self._said = 0
        self._said_limit_s = ASK_AGAIN_S  # at the start, a node may not receive the messages yet

    def cpu(self) -> Usage:
        """The CPU time of the processes so far."""
        return self._of_each(cpu_s)

    def memory(self) -> Usage:
        """The resident memory of the processes."""
        return self._of_each(lambda pid: psutil.Process(pid).memory_info().rss)

    def join(self, node: int, room: str) -> None:
        """Put the client of a node in a room."""
        self.clients[node].wait_answer(self.clients[node].order("join", room))

    def wait_until_all_hear(self) -> None:
        """Emit on the first node until all clients receive it, so that their nodes have handled all earlier
        messages."""
        ends_at = time.monotonic() + READY_LIMIT_S
        while time.monotonic() < ends_at:
            self._said += 1
            self.clients[0].order("say", self._said)  # not acknowledged by a node that has no broker yet
            asked_at = time.monotonic()
            if all(client.wait_said(self._said, self._said_limit_s) for client in self.clients):
                self._said_limit_s = READY_LIMIT_S
                return
            time.sleep(max(asked_at + ASK_AGAIN_S - time.monotonic(), 0))
        raise RuntimeError("the nodes do not receive from each other")

    def _of_each(self, read: Callable[[int], float]) -> Usage:
        return Usage(tuple(read(node.pid) for node in self._nodes), read(self._hub_pid))


@contextmanager
def running(peer: Peer, nodes: int) -> Iterator[Cluster]:
    """Start the nodes of a contestant and their hub."""
    with ExitStack() as stack:
        hub = stack.enter_context(peer.hub())
        children = [stack.enter_context(peer.start_node(hub)) for _ in range(nodes)]
        for child in children:
            child.wait_until_it_listens()
        clients = [stack.enter_context(WsClient(child.port)) for child in children]
        cluster = Cluster(children, clients, hub.pid)
        cluster.wait_until_all_hear()
        yield cluster
