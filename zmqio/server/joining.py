"""Enters the cluster under a node tag that no other process has, and says goodbye when this process ends."""

import atexit
import os
import weakref
from typing import Protocol

from zmqio.adapter.base import AdapterFactory, Identity, NodeEvents
from zmqio.exceptions import ConfigError
from zmqio.ids import NodeTag, make_node_id, make_node_tag
from zmqio.logger import get_logger

__all__ = ["close_at_exit", "join_cluster"]

log = get_logger(__name__)

TAG_CHECK_LIMIT_S = 0.5
"""Longest time that a start waits for a broker to learn whether the node tag is free. Without a broker the start
continues; a clash that is detected later makes the newer node leave the bus."""
TAG_TRIES = 5
"""Random node tags that a start tries. There are 16 million, so a second try is already improbable."""


class ClosedAtExit(Protocol):
    """An owner of a node."""

    def close_sync(self) -> None:
        """Say goodbye to the other nodes without an event loop."""


async def join_cluster(
    factory: AdapterFactory, events: NodeEvents, node_tag: NodeTag | None, packet_format: str = ""
) -> Identity:
    """Start an adapter factory under a tag that no other live node holds.

    Args:
        factory: the adapter factory; it is closed again if the start fails.
        events: receives the events of the cluster.
        node_tag: the configured node tag; None draws a random one.
        packet_format: see `Identity`.

    Returns:
        The identity of this run.

    Raises:
        ConfigError: another live node holds the configured tag, or every random tag that was tried.
    """
    for _ in range(TAG_TRIES):
        tag = node_tag or make_node_tag()
        identity = Identity(make_node_id(tag), tag, node_tag is not None, packet_format)
        try:
            await factory.start(identity, events)
            clash = await factory.wait_for_tag_check(TAG_CHECK_LIMIT_S)
        except BaseException:  # cancelled, too: the next start must not leave this node on the bus
            await factory.close()
            raise
        if clash is None:
            return identity
        log.warning("node_tag_taken", tag=tag, holder=clash.holder, host=clash.host, pid=clash.pid)
        await factory.close()
        if node_tag is not None:
            raise ConfigError(f"{clash}; give every node a tag of its own (`node_tag`, ZMQIO_NODE_TAG)")
    raise ConfigError(f"cannot find a free node tag: {TAG_TRIES} random ones are taken; the last: {clash}")


def close_at_exit(owner: ClosedAtExit) -> None:
    """Say goodbye to the other nodes at exit, for hosts that send no lifespan events.

    Args:
        owner: the owner of a node; not kept alive by this. A forked child does not say goodbye for its parent.
    """
    reference = weakref.ref(owner)
    pid = os.getpid()

    def at_exit() -> None:
        alive = reference()
        if alive is not None and os.getpid() == pid:
            alive.close_sync()

    atexit.register(at_exit)
