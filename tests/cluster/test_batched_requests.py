"""Requests of many clients that are sent to the other nodes in few messages."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from tests.support.memory_bus import MemoryNetwork
from tests.support.memory_nodes import started_factories
from tests.support.timing import wait_until
from zmqio.cluster.batched_requests import MAX_REQUESTS, BatchedAnswer, BatchedRequests
from zmqio.cluster.node import Node
from zmqio.ids import NodeId
from zmqio.protocol.messages import Response
from zmqio.protocol.recovery_messages import RecoveryMessage, SessionRequest
from zmqio.protocol.values import pack_values, unpack_list


class Answerer:
    """Answers as another node: with the rows that `answer` makes, in one response or in two."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.requests: list[list[str]] = []
        self.silent = False

    def received(self, sender: NodeId, message: RecoveryMessage) -> None:
        assert isinstance(message, SessionRequest)
        questions = unpack_list(message.claims)
        self.requests.append(questions)
        if not self.silent:
            rows: list[Any] = [[index, "answer to", name] for index, name in enumerate(questions)]
            parts = [pack_values([*rows[::2], ["shared", len(rows)]]), pack_values(rows[1::2])]
            for part in parts:
                self.node.outbox.respond(sender, Response(message.request_id, part, part is parts[-1]))

    def node_left(self, node_id: NodeId, *, died: bool) -> None: ...


Pair = tuple[Node, Answerer]


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[Pair]:
    async with started_factories(2, MemoryNetwork()) as ((asking, _), (other, _)):
        answerer = Answerer(other._running_node())
        answerer.node.inbound.recovery = answerer
        yield asking._running_node(), answerer


def requests_of(node: Node, **options: Any) -> BatchedRequests:
    return BatchedRequests(node, SessionRequest, options.pop("timeout_s", 20), **options)


async def test_the_first_is_sent_alone_and_the_others_together(pair: Pair) -> None:
    requests = requests_of(pair[0])
    names = [f"client {number}" for number in range(150)]
    answers = await asyncio.gather(*(requests.ask(pack_values(name)) for name in names))
    assert [len(batch) for batch in pair[1].requests] == [1, 149]
    assert [answer.rows for answer in answers] == [[["answer to", name]] for name in names]


async def test_a_message_has_at_most_so_many_requests(pair: Pair) -> None:
    requests = requests_of(pair[0])
    await asyncio.gather(*(requests.ask(pack_values("")) for _ in range(2 * MAX_REQUESTS + 11)))
    assert [len(batch) for batch in pair[1].requests] == [1, MAX_REQUESTS, MAX_REQUESTS, 10]


async def test_a_message_is_not_larger_than_the_bus_carries(pair: Pair) -> None:
    requests = requests_of(pair[0])
    answers = await asyncio.gather(*(requests.ask(pack_values(3_000_000 * "x")) for _ in range(5)))
    assert [len(batch) for batch in pair[1].requests] == [1, 2, 2]
    assert all(len(answer.rows) == 1 for answer in answers)


async def test_a_request_that_is_too_large_is_answered_by_nobody(pair: Pair) -> None:
    answer = await requests_of(pair[0]).ask(pack_values(9_000_000 * "x"))
    assert (answer.rows, answer.silent) == ([], (pair[1].node.identity.node_id,))


async def test_rows_of_several_requests_are_shared(pair: Pair) -> None:
    def read(row: Sequence[Any]) -> tuple[str, int]:
        return row[0], row[1] + 1

    requests = requests_of(pair[0], read_shared=read)
    answers = await asyncio.gather(*(requests.ask(pack_values(number)) for number in range(3)))
    assert [answer.shared for answer in answers] == [{"shared": 2}, {"shared": 3}, {"shared": 3}]


async def test_a_node_that_does_not_answer_is_silent(pair: Pair) -> None:
    pair[1].silent = True
    answer = await requests_of(pair[0], timeout_s=0.05).ask(pack_values(""))
    assert (answer.rows, answer.silent) == ([], (pair[1].node.identity.node_id,))


async def test_without_other_nodes_there_is_no_answer() -> None:
    async with started_factories(1, MemoryNetwork()) as ((factory, _),):
        assert await requests_of(factory._running_node()).ask(pack_values("")) == BatchedAnswer()


async def test_a_request_waits_for_a_broker_that_returns() -> None:
    network = MemoryNetwork()
    async with started_factories(2, network) as ((asking, _), (other, _)):
        answerer = Answerer(other._running_node())
        answerer.node.inbound.recovery = answerer
        network.cut(0)
        request = asyncio.ensure_future(requests_of(asking._running_node()).ask(pack_values("a")))
        await asyncio.sleep(0.05)
        assert not answerer.requests
        network.mend(0)
        assert (await request).rows == [["answer to", "a"]]


async def test_a_row_may_end_the_request_before_all_nodes_have_answered(pair: Pair) -> None:
    async with started_factories(3, MemoryNetwork()) as nodes:
        asking, *others = [factory._running_node() for factory, _ in nodes]
        first, second = map(Answerer, others)
        first.node.inbound.recovery, second.node.inbound.recovery = first, second
        second.silent = True
        answer = await requests_of(asking, ends=lambda row: True).ask(pack_values("a"))
        assert answer == BatchedAnswer([["answer to", "a"]])


async def test_an_answer_that_nobody_waits_for_is_passed_on(pair: Pair) -> None:
    found: list[Sequence[Any]] = []
    requests = requests_of(pair[0], ends=lambda row: True, unclaimed=found.append)
    asking = asyncio.ensure_future(requests.ask(pack_values("a")))
    await asyncio.sleep(0)
    asking.cancel()
    await wait_until(lambda: found, "the answer")
    assert found == [["answer to", "a"]]


@pytest.mark.parametrize("row", [[], 1, [-1, ""], [1, ""]])
async def test_malformed_rows_are_reported(pair: Pair, row: Any) -> None:
    node, answerer = pair
    answerer.silent = True
    asking = asyncio.ensure_future(requests_of(node).ask(pack_values("a")))
    await wait_until(lambda: answerer.requests, "the request")
    (request_id,) = node.responses.requests._open
    answerer.node.outbox.respond(node.identity.node_id, Response(request_id, pack_values([row]), last=True))
    counters = node.diagnostics.counters
    await wait_until(lambda: counters["bus_message_malformed"], "the report")
    node.responses.fail_all()  # in place of the time limit
    assert (await asking).rows == []
