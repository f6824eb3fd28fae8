"""Tests of `zmqio.python_socketio.node_facade`: the node of both kinds of manager, as applications see it."""

from typing import Any

import pytest

from tests.support.memory_bus import MemoryNetwork
from tests.support.psio_harness import ManagedServer
from tests.support.psio_threads import ThreadedServer
from tests.support.timing import wait_until
from zmqio.exceptions import ConfigError
from zmqio.python_socketio import AsyncManager, Manager


async def test_other_nodes_and_operations_are_those_of_the_node() -> None:
    network = MemoryNetwork()
    async with ManagedServer(network) as one:
        joined: list[str] = []
        one.manager.on_node("joined")(joined.append)
        async with ManagedServer(network) as two:
            await one.manager.cluster().ready()
            await wait_until(lambda: joined == [two.manager.health().details["node_id"]], "the other node")
            assert one.manager.cluster().server_count() == 2
            assert one.manager.cluster("/chat") is one.manager.cluster("/chat")
        with pytest.raises(ValueError, match="'joined' and 'left'"):
            one.manager.on_node("came")
        assert one.manager.on_bus_gap(print) is print


def test_the_same_in_threads() -> None:
    with ThreadedServer() as node:
        node.manager.run(node.manager.cluster().ready())
        assert node.manager.cluster().server_count() == 1
        assert node.manager.health().ready


@pytest.mark.parametrize("kind", [AsyncManager, Manager])
def test_a_write_only_manager_has_no_clients(kind: Any) -> None:
    manager = kind(write_only=True)
    assert manager.write_only
    assert not manager.is_pre_connected("sid", "/")
    with pytest.raises(ConfigError, match="leave out `write_only=True`"):
        manager.set_server(None)
