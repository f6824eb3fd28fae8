"""Nodes that exchange sessions over a bus in memory, without servers."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.support.memory_nodes import Started, wait_for_keepers
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.cluster.session_exchange import SessionExchange
from zmqio.config import Recovery
from zmqio.ids import NodeId, Sid
from zmqio.recovery.session import RecoverableSession
from zmqio.recovery.store import RecoveryStore

__all__ = ["Pair", "join", "join_all", "make_store", "suspend"]

Pair = list[tuple[SessionExchange, RecoveryStore]]


def make_store(node_id: NodeId) -> RecoveryStore:
    """Make the store of a node with the namespace `/`."""
    store = RecoveryStore(node_id, Recovery(), 10.0, Counter(), asyncio.get_running_loop().time)
    store.recorder("/")
    return store


def join(factory: ClusterAdapterFactory, node_id: NodeId) -> tuple[SessionExchange, RecoveryStore]:
    """Let a node exchange sessions."""
    store = make_store(node_id)
    return factory.exchange_sessions(store), store


async def join_all(nodes: Sequence[Started]) -> Pair:
    """Let nodes exchange sessions, and wait until each knows that the others keep them."""
    joined = [join(factory, identity.node_id) for factory, identity in nodes]
    await wait_for_keepers([factory for factory, _ in nodes])
    return joined


def suspend(store: RecoveryStore, pid: str, **fields: Any) -> RecoverableSession:
    """Make the session of a client that has disconnected."""
    values = {"rooms": ("r",), "data": {}, "connected_at": store.clock(), "start": {}, "held_from": 0, **fields}
    session = RecoverableSession(pid, "/", Sid("sid"), **values)
    store.suspend(session)
    return session
