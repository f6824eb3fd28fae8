"""An adapter factory for adapters that share nothing: a class, or any function that makes one."""

from collections.abc import Callable

from zmqio.adapter.base import Adapter, Health, Identity, LocalSockets, NodeEvents

__all__ = ["SimpleFactory"]


class SimpleFactory:
    """Makes each adapter by calling `make(namespace, sockets)`."""

    def __init__(self, make: Callable[..., Adapter]) -> None:
        self._make = make

    def __repr__(self) -> str:
        return getattr(self._make, "__qualname__", repr(self._make))

    def __call__(self, namespace: str, sockets: LocalSockets) -> Adapter:
        """Make the adapter of one namespace."""
        return self._make(namespace, sockets)

    async def start(self, identity: Identity, events: NodeEvents) -> None:
        """Nothing is shared, so nothing starts."""

    async def close(self) -> None:
        """Nothing is shared, so nothing stops."""

    def abandon(self) -> None:
        """Nothing is shared, so nobody waits for a goodbye."""

    def health(self) -> Health:
        """There are no other nodes that it could miss."""
        return Health(ready=True)
