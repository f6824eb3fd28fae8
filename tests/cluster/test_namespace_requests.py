"""Requests to other nodes: own answers come first, malformed ones are counted, many are read in slices."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.node_harness import ALL, ME, PEER, NodeHarness
from tests.support.timing import LIMIT_S, wait_until
from zmqio.cluster.namespace_requests import SLICE_ANSWERS, NamespaceRequests
from zmqio.exceptions import RequestTimeoutError
from zmqio.ids import NodeId
from zmqio.protocol import messages as m
from zmqio.protocol.topic import inbox_topic
from zmqio.protocol.values import pack_values

OTHER = NodeId("tag3CCCCCCCCCCC")


class Asker:
    """Requests the names of rooms; the test responds as the other nodes."""

    def __init__(self, harness: NodeHarness) -> None:
        self.harness = harness
        self._requests = NamespaceRequests(harness.node, "/")

    async def ask(self, *nodes: NodeId, here: tuple[Any, ...] = (), timeout_s: float = LIMIT_S) -> list[Any]:
        return await self._requests.request(
            ALL, nodes, lambda n: m.FetchRooms(n, "/"), timeout_s, here=list(here), read=str.upper
        )

    def begin(self, *nodes: NodeId, here: tuple[Any, ...] = ()) -> "asyncio.Task[list[Any]]":
        return asyncio.get_running_loop().create_task(self.ask(*nodes, here=here))

    async def respond(self, node_id: NodeId, *answers: Any) -> None:
        """Respond to the first request once it is published."""
        await wait_until(lambda: self.harness.sent(m.FetchRooms), "the request")
        message: Any = self.harness.sent(m.FetchRooms)[0][1].message
        response = m.Response(message.request_id, pack_values(list(answers)), last=True)
        self.harness.peer_sends(response, inbox_topic("zmqio", ME), node_id)


@pytest_asyncio.fixture
async def asker() -> AsyncIterator[Asker]:
    harness = await NodeHarness().ready()
    yield Asker(harness)
    await harness.node.close()


async def test_without_nodes_nothing_is_published(asker: Asker) -> None:
    assert await asker.ask(here=("a",)) == ["a"]
    assert asker.harness.sent(m.FetchRooms) == []


async def test_answers_of_this_node_come_first(asker: Asker) -> None:
    asking = asker.begin(PEER, OTHER, here=("HERE",))
    await asker.respond(OTHER, "b", "c")
    await asker.respond(PEER, "d")
    assert await asking == ["HERE", "B", "C", "D"]
    assert [topic for topic, _ in asker.harness.sent(m.FetchRooms)] == [ALL]


async def test_malformed_response_is_counted_and_the_others_are_returned(asker: Asker) -> None:
    asking = asker.begin(PEER, OTHER)
    await asker.respond(PEER, "a", 5)
    await asker.respond(OTHER, "b")
    assert await asking == ["B"]
    assert asker.harness.node.diagnostics.counters["bus_message_malformed"] == 1


async def test_error_holds_the_answers_of_this_node_and_names_the_silent_one(asker: Asker) -> None:
    with pytest.raises(RequestTimeoutError) as caught:
        await asker.ask(PEER, here=("HERE",), timeout_s=0)
    assert (caught.value.responses, caught.value.expected, caught.value.missing) == (["HERE"], 2, [PEER])


async def test_answers_of_several_slices_are_all_returned(asker: Asker) -> None:
    asking = asker.begin(PEER, OTHER)
    await asker.respond(PEER, *["a"] * (SLICE_ANSWERS + 1))
    await asker.respond(OTHER, "b")
    assert len(await asking) == SLICE_ANSWERS + 2
