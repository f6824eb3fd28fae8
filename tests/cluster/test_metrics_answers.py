"""Answers to observers: the metrics, unnumbered, to an inbox that is no node's."""

import os

from tests.support.node_harness import ALL, ME, NodeHarness
from tests.support.timing import wait_until
from zmqio.cluster.metrics_answers import FRESH_S, MetricsAnswers
from zmqio.ids import NodeId
from zmqio.metrics.samples import Sample
from zmqio.protocol.messages import FetchMetrics, Response
from zmqio.protocol.topic import inbox_topic
from zmqio.protocol.values import unpack_list

OBSERVER = NodeId("obsvOOOOOOOOOOO")


class Sender:
    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Response]] = []

    def send_unsequenced(self, topic: bytes, message: Response) -> None:
        self.sent.append((topic, message))


def test_answer_has_the_process_and_its_samples() -> None:
    sender = Sender()
    sample = Sample("zmqio_sockets", 2, (("namespace", "/"),))
    MetricsAnswers("shop", sender, lambda: [sample], lambda: 0.0).answer(OBSERVER, FetchMetrics(7))
    ((topic, response),) = sender.sent
    assert topic == inbox_topic("shop", OBSERVER)
    assert (response.request_id, response.last) == (7, True)
    (_, pid), *rows = unpack_list(response.part)
    assert pid == os.getpid()
    assert rows == [["zmqio_sockets", 2, [["namespace", "/"]], ""]]


def test_many_requests_read_the_metrics_once() -> None:
    now, reads = 0.0, 0

    def read() -> list[Sample]:
        nonlocal reads
        reads += 1
        return []

    sender = Sender()
    answers = MetricsAnswers("zmqio", sender, read, lambda: now)
    for number in range(50):
        answers.answer(OBSERVER, FetchMetrics(number))
    assert (len(sender.sent), reads) == (50, 1)
    now += FRESH_S
    answers.answer(OBSERVER, FetchMetrics(50))
    assert reads == 2


async def test_node_answers_an_observer_and_does_not_count_it() -> None:
    harness = await NodeHarness().ready()
    harness.peer_sends(FetchMetrics(3), ALL, OBSERVER, None)
    await wait_until(lambda: harness.sent(Response), "the answer")
    ((topic, (message_id, response)),) = harness.sent(Response)
    assert topic == inbox_topic("zmqio", OBSERVER)
    assert (message_id.node_id, message_id.previous, response.request_id) == (ME, None, 3)
    values = {row[0]: row[1] for row in unpack_list(response.part)[1:]}
    assert values["zmqio_nodes"] == 1
    assert values["zmqio_bus_messages_published"] == 0  # neither heartbeats nor answers are numbered
    assert not harness.node.peers
    assert harness.events.seen == []
    await harness.node.close()
