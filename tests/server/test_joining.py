"""Tests of `zmqio.server.joining`: entering the cluster, and the goodbye at exit."""

import subprocess
import sys

import pytest

from zmqio.adapter.base import Health, Identity, NodeEvents, TagClash
from zmqio.exceptions import ConfigError
from zmqio.ids import NodeId, NodeTag
from zmqio.server.joining import TAG_TRIES, join_cluster
from zmqio.server.node_listeners import NodeListeners


class ClashingFactory:
    """An adapter factory whose first `clashes` starts find their tag taken."""

    def __init__(self, clashes: int) -> None:
        self.clashes = clashes
        self.started: list[Identity] = []
        self.closed = 0

    def __call__(self, namespace: str, sockets: object) -> None:
        raise AssertionError("no adapter is asked for")

    async def start(self, identity: Identity, events: NodeEvents) -> None:
        self.started.append(identity)

    async def wait_for_tag_check(self, limit_s: float) -> TagClash | None:
        if len(self.started) > self.clashes:
            return None
        identity = self.started[-1]
        return TagClash(identity.tag, NodeId("othernode"), "host", 1, identity.tag_is_configured)

    async def close(self) -> None:
        self.closed += 1

    def close_sync(self) -> None:
        raise AssertionError("not at exit")

    def health(self) -> Health:
        return Health(ready=True)


async def test_another_random_tag_is_drawn_after_a_clash() -> None:
    factory = ClashingFactory(2)
    identity = await join_cluster(factory, NodeListeners(), None)  # type: ignore[arg-type]
    assert identity is factory.started[2]
    assert factory.closed == 2


async def test_a_configured_tag_that_is_taken_is_an_error() -> None:
    factory = ClashingFactory(1)
    with pytest.raises(ConfigError, match="node tag 'node' belongs to node othernode"):
        await join_cluster(factory, NodeListeners(), NodeTag("node"))  # type: ignore[arg-type]
    assert factory.closed == 1


async def test_a_start_gives_up_after_several_random_tags() -> None:
    factory = ClashingFactory(TAG_TRIES)
    with pytest.raises(ConfigError, match="cannot find a free node tag"):
        await join_cluster(factory, NodeListeners(), None)  # type: ignore[arg-type]
    assert factory.closed == TAG_TRIES


def test_the_goodbye_is_said_at_exit_and_not_by_a_forked_child() -> None:
    program = """
import os, sys
from zmqio.server.joining import close_at_exit
class Owner:
    def close_sync(self): print("goodbye", flush=True)
owner = Owner()
close_at_exit(owner)
pid = os.fork()
if pid == 0:
    sys.exit()
os.waitpid(pid, 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "goodbye\n"
