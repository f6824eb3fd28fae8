"""The nodes that have left lately, so that a client that missed packets of one of them is told. Pure.

Time is an argument.
"""

from dataclasses import dataclass

from zmqio.ids import NodeId

__all__ = ["DepartedNode", "DepartedNodes"]

MAX_NODES = 1_000
"""Most nodes that are remembered; beyond that, the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class DepartedNode:
    """A node that has stopped or died.

    Attributes:
        node_id: the node.
        number: its highest bus number that is known.
        at: when it left.
    """

    node_id: NodeId
    number: int
    at: float


class DepartedNodes:
    """The nodes that have left in the last `keep_s` seconds."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._by_id: dict[NodeId, DepartedNode] = {}

    def __contains__(self, node_id: NodeId) -> bool:
        return node_id in self._by_id

    def add(self, node: DepartedNode) -> None:
        """Remember a node that has left now."""
        self._by_id.pop(node.node_id, None)
        self._by_id[node.node_id] = node
        if len(self._by_id) > MAX_NODES:
            del self._by_id[next(iter(self._by_id))]

    def since(self, at: float) -> list[DepartedNode]:
        """The nodes that have left since a time."""
        return [node for node in self._by_id.values() if node.at >= at]

    def expire(self, now: float) -> None:
        """Forget the nodes that left long ago."""
        for node in [node for node in self._by_id.values() if node.at < now - self._keep_s]:
            del self._by_id[node.node_id]
