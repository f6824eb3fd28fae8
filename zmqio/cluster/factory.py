"""Makes the cluster adapters of one process, and holds the node that they share."""

from collections.abc import Callable

from zmqio.adapter.base import Adapter, Bus, Health, Identity, LocalSockets, NodeEvents, TagClash
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.cluster.node import Node
from zmqio.cluster.unicast import NodeMessenger
from zmqio.config import BusOptions

__all__ = ["ClusterAdapterFactory"]


class ClusterAdapterFactory:
    """An `AdapterFactory` over any bus. May be started again after `close`, as another node.

    Args:
        make_bus: makes the way to the other nodes; called at each start.
        options: prefix, times and limits.
        adapter_class: a subclass of `ClusterAdapter`.
    """

    def __init__(
        self,
        make_bus: Callable[[Identity], Bus],
        options: BusOptions = BusOptions(),  # noqa: B008 - frozen
        *,
        adapter_class: type[ClusterAdapter] = ClusterAdapter,
    ) -> None:
        self._make_bus = make_bus
        self._options = options
        self._adapter_class = adapter_class
        self._node: Node | None = None

    def __call__(self, namespace: str, sockets: LocalSockets) -> Adapter:
        """Make the adapter of one namespace; it may be opened once the factory has started."""
        return self._adapter_class(namespace, sockets, self._running)

    async def start(self, identity: Identity, events: NodeEvents) -> None:
        """Begin to talk to other nodes; returns without waiting for a broker."""
        self._node = Node(identity, self._make_bus(identity), self._options, events)
        await self._node.start()

    async def wait_for_tag_check(self, limit_s: float) -> TagClash | None:
        """Wait until it is known whether an older live node holds the tag of this one.

        To be called after `start`, before the first id is made. With a clash this node has left the bus already:
        one with a random tag is closed and started again with another, a configured one is an error.

        Args:
            limit_s: longest time to wait for a broker. Without one nothing is known yet; a clash that is found
                later makes the newer node leave the bus, and `health` tells why.
        """
        return await self._running().wait_for_tag_check(limit_s)

    async def close(self) -> None:
        """Say goodbye and stop."""
        node, self._node = self._node, None
        if node is not None:
            await node.close()

    def close_sync(self) -> None:
        """Say goodbye without an event loop."""
        node, self._node = self._node, None
        if node is not None:
            node.close_sync()

    def messenger(self) -> NodeMessenger:
        """The other nodes, one by one (`NodeMessengerFactory`)."""
        return self._running().forwarding

    def health(self) -> Health:
        """Whether this node hears the others."""
        if self._node is None:
            return Health(ready=False, reasons=("the adapter has not started",))
        return self._node.health()

    def _running(self) -> Node:
        if self._node is None:
            raise RuntimeError("the adapter factory has not started")
        return self._node
