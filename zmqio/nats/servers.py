"""The servers of a cluster: the given addresses, and those that the servers name. Pure."""

import random
from collections.abc import Iterable, Sequence

from zmqio.nats.addresses import NatsServer, server_of

__all__ = ["ServerList"]


class ServerList:
    """The servers of the cluster, and the choice of the next one to connect to.

    Args:
        given: the configured addresses. Each node begins with a random one of them, so that many nodes spread over
            all servers.

    Attributes:
        known: all servers that are part of the cluster as far as is known.
    """

    def __init__(self, given: Sequence[NatsServer]) -> None:
        self._given = random.sample(given, len(given))
        self._named: tuple[NatsServer, ...] = ()
        self._next = 0

    @property
    def known(self) -> frozenset[NatsServer]:
        """The given servers and those that the current one names."""
        return frozenset((*self._given, *self._named))

    @property
    def candidates(self) -> int:
        """The number of servers that can be tried before one is tried again."""
        return len(self.known)

    def update(self, endpoints: Iterable[str]) -> bool:
        """Note the servers that the current one names; return whether it has named others before."""
        tls = self._given[0].tls
        before = set(self._named)
        found = (server_of(endpoint, tls=tls) for endpoint in sorted(endpoints))
        self._named = tuple(server for server in found if server is not None)
        return set(self._named) != before

    def next(self) -> NatsServer:
        """Return the server to try next: each given one, then each other one, and so on."""
        order = [*self._given, *(server for server in self._named if server not in self._given)]
        chosen = order[self._next % len(order)]
        self._next += 1
        return chosen
