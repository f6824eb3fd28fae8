"""Node processes that run `cluster_app`, and clusters of them with the clients at each."""

import asyncio
import json
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar
from urllib.request import Request, urlopen

from tests.support.cluster import NodeProcess
from tests.support.js_clients import pack, unpack
from tests.support.node_config import NodeConfig
from tests.support.timing import LIMIT_S

__all__ = [
    "ClusterNode",
    "NodeFailed",
    "failure_of",
    "new_prefix",
    "running_nodes",
    "wait_counts",
    "wait_rooms",
]

NAMES = ("one", "two", "three", "four")
SHORT_TIMEOUTS_S = (0.3, 2.0, 20.0)


class NodeFailed(Exception):
    """A command ended with an error of the server.

    Attributes:
        facts: `error` (its name), `message`; of a RequestTimeoutError also `responses`, `expected`, `missing`.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        super().__init__(f"{facts['error']}: {facts['message']}")
        self.facts = facts


class ClusterNode(NodeProcess):
    """A node process that runs commands of a test."""

    module: ClassVar[str] = "tests.support.cluster_app"
    node_id: str = ""

    async def do(self, op: str, **command: Any) -> Any:
        """Run one command of `ClusterApp.run`.

        Raises:
            NodeFailed: it ended with an error of the server.
        """
        body = json.dumps({"op": op, **command, "args": pack(command.get("args", ()))}).encode()
        result = await asyncio.to_thread(self._post, body)
        if "error" in result:
            raise NodeFailed({**result, "responses": unpack(result.get("responses"))})
        return unpack(result["value"])

    async def wait_running(self, count: int) -> None:
        """Wait until `count` commands run here, and have sent their requests."""
        await self.wait_state(f"{count} commands run", lambda state: state["running"] == count)
        await self.state()  # a command takes a few turns of the event loop until it sends

    async def start(self) -> "ClusterNode":
        await super().start()
        return await self.learn_id()

    async def learn_id(self) -> "ClusterNode":
        """Record its node id."""
        self.node_id = (await self.state())["node_id"]
        return self

    def freeze(self) -> None:
        """Stop the process with SIGSTOP: it is alive and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    async def kill(self) -> None:
        """SIGKILL."""
        await self.stop(signal.SIGKILL)

    def _post(self, body: bytes) -> dict[str, Any]:
        with urlopen(Request(f"{self.url}/test/", body), timeout=3 * LIMIT_S) as answer:
            result: dict[str, Any] = json.load(answer)
            return result


async def failure_of(
    node: ClusterNode, responses: int, op: str, missing: int = 1, **command: Any
) -> dict[str, Any]:
    """Run a command that ends by its time limit, and return the facts of its error.

    The time limit is short at first. If a node that does respond was slower, so that fewer than `responses` have
    arrived by then or more than `missing` nodes are missing, the command is run again with a longer one.
    """
    for timeout_s in SHORT_TIMEOUTS_S:
        try:
            value = await node.do(op, timeout=timeout_s, **command)
        except NodeFailed as error:
            facts = error.facts
        else:
            raise AssertionError(f"{op} returned {value}")
        if len(facts["responses"]) >= responses and len(facts["missing"]) <= missing:
            break
    return facts


def new_prefix() -> str:
    """A topic prefix of its own, so that clusters on one broker do not see each other."""
    return f"test-{secrets.token_hex(4)}"


@asynccontextmanager
async def running_nodes(
    address: str, count: int = 3, *, prefix: str | None = None, options: Any = None, **bus: Any
) -> AsyncIterator[list[ClusterNode]]:
    """Node processes that have discovered each other, and no others.

    Args:
        address: of the broker.
        count: how many, up to four.
        prefix: topic prefix; a new one if left out.
        options: of `zmqio.Server`.
        bus: options of `ZmqAdapter`; by default, a node that is slow is not dead.
    """
    bus = {"dead_after_s": LIMIT_S, **bus, "prefix": prefix or new_prefix()}
    options = {"request_timeout_s": LIMIT_S, **(options or {})}
    async with AsyncExitStack() as stack:
        nodes = [
            ClusterNode(NodeConfig(name, adapter=address, options=options, bus=bus)) for name in NAMES[:count]
        ]
        for node in nodes:
            stack.push_async_callback(node.close)
            node.spawn()
        await wait_counts(nodes, count)
        for node in nodes:
            await node.learn_id()
        yield nodes


async def wait_counts(nodes: list[ClusterNode], count: int) -> None:
    """Wait until each of `nodes` receives from the bus and counts `count` nodes."""
    for node in nodes:
        await node.wait_state(
            f"{node.name} counts {count} nodes",
            lambda state: state["ready"] and state["server_count"] == count,
        )


async def wait_rooms(node: ClusterNode, expected: dict[str, set[str]], **where: Any) -> None:
    """Wait until `fetch_sockets` at `node` finds exactly these sockets, in these rooms besides their own."""
    ends_at = asyncio.get_running_loop().time() + LIMIT_S
    while True:
        found = await node.do("fetch", **where)
        seen = {one["sid"]: set(one["rooms"]) - {one["sid"]} for one in found}
        if seen == expected:
            return
        assert asyncio.get_running_loop().time() < ends_at, f"not within {LIMIT_S:g} s: {expected}; it is {seen}"
