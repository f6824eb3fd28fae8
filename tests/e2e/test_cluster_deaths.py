"""A node is killed during a request: the requester gets the responses received and the name of the dead node.

The victim is frozen first, so that it has certainly received the request or has certainly not answered it, and
then killed with SIGKILL.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.broker import BrokerProcess
from tests.support.cluster_nodes import (
    ClusterNode,
    NodeFailed,
    failure_of,
    new_prefix,
    running_nodes,
    wait_counts,
)
from tests.support.js_clients import JsClients
from tests.support.node_config import NodeConfig
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG_AFTER_S = 10 * LIMIT_S
"""No test waits that long: a request with this time limit that ends has ended because the node died."""

QUESTIONS: dict[str, dict[str, Any]] = {
    "broadcast with acks": {"op": "ask", "event": "hello", "args": [1]},
    "acks of a room": {"op": "ask", "event": "hello", "args": [1], "rooms": ["crowd"]},
    "fetch all": {"op": "fetch"},
    "fetch a room": {"op": "fetch", "rooms": ["crowd"]},
    "server-side emit": {"op": "ask_nodes", "event": "who"},
}
ANSWERS_OF_THE_LIVING = {"server-side emit": 1}


class Drama:
    """Two nodes that survive and one that will be killed, with a client at each."""

    def __init__(self, nodes: list[ClusterNode], js: JsClients) -> None:
        self.asker, self.witness, self.victim = nodes
        self.clients = [js.client(node.url, "websocket", auth={"rooms": ["crowd"]}) for node in nodes]

    async def ask(self, **question: Any) -> "asyncio.Task[Any]":
        """Begin a request, which includes the victim: its death is not known before the request is sent."""
        answer = asyncio.create_task(self.asker.do(**question))
        await self.asker.wait_running(1)
        return answer


@pytest_asyncio.fixture(loop_scope="session")
async def drama(broker: BrokerProcess, js: JsClients) -> AsyncIterator[Drama]:
    """A new cluster for each test, because one of its nodes will be killed."""
    options = {"request_timeout_s": LONG_AFTER_S}
    async with running_nodes(broker.address, options=options, dead_after_s=LIMIT_S, heartbeat_s=0.2) as nodes:
        harness = Drama(nodes, js)
        await asyncio.gather(*(client.connect() for client in harness.clients))
        yield harness
        await asyncio.gather(*(client.end() for client in harness.clients))


async def failure(answer: "asyncio.Task[Any]") -> dict[str, Any]:
    """The data of the error that ends a request."""
    with pytest.raises(NodeFailed) as caught:
        await asyncio.wait_for(answer, 2 * LIMIT_S)
    assert caught.value.facts["error"] == "RequestTimeoutError"
    return caught.value.facts


@pytest.mark.parametrize("name", QUESTIONS)
async def test_request_ends_when_a_node_dies_and_names_it(drama: Drama, name: str) -> None:
    drama.victim.freeze()
    answer = await drama.ask(**QUESTIONS[name], timeout=LONG_AFTER_S)
    if "ack" in name:
        await drama.clients[1].wait_for("hello")
    await drama.victim.kill()
    facts = await failure(answer)
    assert facts["missing"] == [drama.victim.node_id]
    assert len(facts["responses"]) == ANSWERS_OF_THE_LIVING.get(name, 2)
    assert facts["expected"] == len(facts["responses"]) + 1


@pytest.mark.parametrize("name", QUESTIONS)
async def test_timeout_before_the_death_is_detected_names_the_node(drama: Drama, name: str) -> None:
    responses = ANSWERS_OF_THE_LIVING.get(name, 2)
    drama.victim.freeze()  # and not killed: its death would be known within milliseconds
    facts = await failure_of(drama.asker, responses, **QUESTIONS[name])
    assert facts["missing"] == [drama.victim.node_id]
    assert len(facts["responses"]) == responses
    await drama.victim.kill()


async def test_rooms_request_names_the_dead_node(drama: Drama) -> None:
    drama.victim.freeze()
    answer = await drama.ask(op="rooms")
    await drama.victim.kill()
    facts = await failure(answer)
    assert facts["missing"] == [drama.victim.node_id]
    assert {"crowd", drama.clients[0].sid, drama.clients[1].sid} == set(facts["responses"])


async def test_node_that_dies_after_reporting_its_ack_count_is_named(drama: Drama) -> None:
    await drama.clients[2].mute()
    question = {"op": "ask", "event": "hello", "args": [1], "timeout": LONG_AFTER_S}
    answer = await drama.ask(**question)
    await wait_until(lambda: all(client.received.named("hello") for client in drama.clients), "all of them")
    await drama.asker.do("ask_nodes", event="who")  # answered behind the count
    assert not answer.done()
    await drama.victim.kill()
    facts = await failure(answer)
    assert (facts["missing"], len(facts["responses"]), facts["expected"]) == ([drama.victim.node_id], 2, 3)


async def test_node_that_dies_while_its_application_responds_is_named(drama: Drama) -> None:
    question = {"op": "ask_nodes", "event": "silent", "args": ["three"], "timeout": LONG_AFTER_S}
    answer = await drama.ask(**question)
    await drama.victim.wait_state("it was asked", lambda state: state["received"] == [["silent"]])
    await drama.victim.kill()
    facts = await failure(answer)
    assert (facts["missing"], len(facts["responses"]), facts["expected"]) == ([drama.victim.node_id], 1, 2)


async def test_owner_that_dies_during_a_request_to_its_socket_is_named(drama: Drama) -> None:
    await drama.clients[2].mute()
    rooms = [drama.clients[2].sid]
    answers = [await drama.ask(op="ask", event="hello", rooms=rooms, timeout=LONG_AFTER_S)]
    await drama.clients[2].wait_for("hello")
    drama.victim.freeze()
    answers.append(asyncio.create_task(drama.asker.do("fetch", rooms=rooms, timeout=LONG_AFTER_S)))
    await drama.asker.wait_running(2)
    await drama.victim.kill()
    for answer in answers:
        facts = await failure(answer)
        assert (facts["missing"], facts["responses"]) == ([drama.victim.node_id], [])


async def test_live_nodes_continue_without_the_dead_one(drama: Drama) -> None:
    await drama.victim.kill()
    await wait_counts([drama.asker, drama.witness], 2)
    assert sorted(one["sid"] for one in await drama.asker.do("fetch")) == sorted(
        client.sid for client in drama.clients[:2]
    )
    assert await drama.asker.do("ask", event="hello", args=["still"]) == ["still", "still"]
    assert await drama.asker.do("ask_nodes", event="who") == ["two"]


async def test_death_and_goodbye_have_different_reasons(
    broker: BrokerProcess,
) -> None:
    prefix = new_prefix()
    async with running_nodes(broker.address, prefix=prefix, dead_after_s=LIMIT_S, heartbeat_s=0.2) as nodes:
        one, two, three = nodes
        assert set((await one.state())["joined"]) == {two.node_id, three.node_id}
        await two.stop()
        await three.kill()
        state = await one.wait_state("both have gone", lambda state: len(state["left"]) == 2)
        assert sorted(state["left"]) == sorted([[two.node_id, "goodbye"], [three.node_id, "disconnected"]])
        config = NodeConfig("four", adapter=broker.address, bus={"prefix": prefix})
        async with ClusterNode(config) as four:
            await wait_counts([one, four], 2)
            assert (await one.state())["joined"][-1] == four.node_id
            assert (await four.state())["joined"] == [one.node_id]
