"""Clusters of python-socketio nodes and nodes of zmqio."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar

from tests.support.cluster_nodes import ClusterNode, new_prefix, wait_counts
from tests.support.node_config import NodeConfig
from tests.support.timing import LIMIT_S

__all__ = ["CompatNode", "PsioNode", "mixed_nodes"]


class PsioNode(ClusterNode):
    """A node process with a server of python-socketio."""

    module: ClassVar[str] = "tests.support.psio_app"


class CompatNode(ClusterNode):
    """A node process with a server of `zmqio.compat`."""

    module: ClassVar[str] = "tests.support.compat_app"


@asynccontextmanager
async def mixed_nodes(address: str, psio_count: int = 2, **options: Any) -> AsyncIterator[list[ClusterNode]]:
    """`psio_count` nodes of python-socketio and, last in the list, one `zmqio.Server`; all know each other.

    Args:
        address: of the broker.
        psio_count: number of python-socketio nodes.
        options: of `zmqio.python_socketio.AsyncManager`.
    """
    bus = {"prefix": new_prefix(), "dead_after_s": LIMIT_S}
    configs = [NodeConfig(f"psio{n}", adapter=address, bus={**bus, **options}) for n in range(psio_count)]
    async with AsyncExitStack() as stack:
        nodes: list[ClusterNode] = [PsioNode(config) for config in configs]
        nodes.append(ClusterNode(NodeConfig("zmqio", adapter=address, bus=bus)))
        for node in nodes:
            stack.push_async_callback(node.close)
            node.spawn()
        await wait_counts(nodes, len(nodes))
        for node in nodes:
            await node.learn_id()
        yield nodes
