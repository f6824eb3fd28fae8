"""Nodes that exchange sessions over a bus in memory, without servers."""

import asyncio
from collections import Counter
from typing import Any

from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.cluster.session_exchange import SessionExchange
from zmqio.config import Recovery
from zmqio.ids import NodeId, Sid
from zmqio.recovery.session import RecoverableSession
from zmqio.recovery.store import RecoveryStore

__all__ = ["Pair", "join", "make_store", "suspend"]

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


def suspend(store: RecoveryStore, pid: str, **fields: Any) -> RecoverableSession:
    """Make the session of a client that has disconnected."""
    values = {"rooms": ("r",), "data": {}, "connected_at": store.clock(), "start": {}, "held_from": 0, **fields}
    session = RecoverableSession(pid, "/", Sid("sid"), **values)
    store.suspend(session)
    return session
