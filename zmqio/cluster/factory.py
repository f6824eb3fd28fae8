"""Makes the cluster adapters of one process, and owns the node that they share."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from zmqio.adapter.base import Adapter, Health, Identity, LocalSockets, NodeEvents, TagClash
from zmqio.adapter.bus import Bus
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.cluster.node import Node
from zmqio.cluster.unicast import NodeMessenger
from zmqio.config import BusOptions
from zmqio.metrics.samples import Sample
from zmqio.tracing import Tracing

if TYPE_CHECKING:
    from zmqio.cluster.session_exchange import SessionExchange
    from zmqio.recovery.store import RecoveryStore

__all__ = ["ClusterAdapterFactory"]


class ClusterAdapterFactory:
    """An `AdapterFactory` over any bus. May be started again after `close`, as another node.

    Args:
        make_bus: makes the bus; called at each start.
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
        self._tracing: Tracing | None = None
        self._read_metrics: Callable[[], Iterable[Sample]] | None = None

    def trace(self, tracing: Tracing) -> None:
        """Carry the context of traces to other nodes, from the next start on (`TracedFactory`)."""
        self._tracing = tracing

    def report_metrics(self, read: Callable[[], Iterable[Sample]]) -> None:
        """Answer observers with what `read` returns, from the next start on (`MetricsReporter`)."""
        self._read_metrics = read

    def __call__(self, namespace: str, sockets: LocalSockets) -> Adapter:
        """Make the adapter of one namespace; open it only after the factory has started."""
        return self._adapter_class(namespace, sockets, self._running_node)

    async def start(self, identity: Identity, events: NodeEvents) -> None:
        """Join the other nodes; returns without waiting for a broker."""
        self._node = Node(identity, self._make_bus(identity), self._options, events)
        self._node.tracing = self._tracing
        if self._read_metrics is not None:
            self._node.metrics.read = self._read_metrics
        await self._node.start()

    async def wait_for_tag_check(self, limit_s: float) -> TagClash | None:
        """Wait until it is known whether an older live node holds the same tag as this one.

        Call it after `start`, before the first session id is made. After a clash, this node has already left the
        bus. The caller starts it again with another tag if the tag was random, and fails if it was configured.

        Args:
            limit_s: longest wait for a broker. Without a broker nothing is known yet, and None is returned. If a
                clash is found later, the newer node leaves the bus, and `health` says why.
        """
        return await self._running_node().wait_for_tag_check(limit_s)

    async def close(self) -> None:
        """Leave the other nodes with a goodbye, and stop."""
        node, self._node = self._node, None
        if node is not None:
            await node.close()

    def close_sync(self) -> None:
        """Leave the other nodes with a goodbye, without an event loop."""
        node, self._node = self._node, None
        if node is not None:
            node.close_sync()

    def exchange_sessions(self, store: "RecoveryStore") -> "SessionExchange":
        """Let this node give sessions to other nodes, and get theirs. The factory has started."""
        from zmqio.cluster.session_exchange import SessionExchange  # most servers recover no sessions

        node = self._running_node()
        exchange = SessionExchange(node, store)
        node.recover_sessions(exchange)
        return exchange

    def messenger(self) -> NodeMessenger:
        """The messenger to single nodes (`NodeMessengerFactory`)."""
        return self._running_node().unicast

    def health(self) -> Health:
        """Whether this node receives messages of the others."""
        if self._node is None:
            return Health(ready=False, reasons=("the adapter has not started",))
        return self._node.health()

    def _running_node(self) -> Node:
        if self._node is None:
            raise RuntimeError("the adapter factory has not started")
        return self._node
