"""The responses of a node: exact messages to the requester's inbox."""

from collections.abc import AsyncIterator

import pytest_asyncio
from structlog.testing import capture_logs

from tests.support.fake_sockets import FakeSockets, ackable
from tests.support.node_harness import ME, PEER, NodeHarness
from tests.support.timing import wait_until
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.cluster.responder import SLICE_SOCKETS, Responder, to_description
from zmqio.config import BusOptions
from zmqio.ids import Sid
from zmqio.protocol import messages as m
from zmqio.protocol.topic import inbox_topic
from zmqio.protocol.values import pack_values, unpack_values

A, B = Sid("tag1xxxxxxxxxxxxxxxx"), Sid("tag1yyyyyyyyyyyyyyyy")


class Setup:
    def __init__(self, harness: NodeHarness) -> None:
        self.harness = harness
        self.sockets = FakeSockets(ME)
        self.sockets.adapter = ClusterAdapter("/", self.sockets, lambda: harness.node)
        self.responder = Responder(harness.node, self.sockets)

    def sent(self) -> list[m.Message]:
        sent = [(topic, envelope.message) for topic, envelope in self.harness.sent(object)]  # type: ignore[arg-type]
        return [message for topic, message in sent if topic == inbox_topic("zmqio", PEER)]


@pytest_asyncio.fixture
async def setup() -> AsyncIterator[Setup]:
    harness = await NodeHarness(options=BusOptions(heartbeat_s=0.02, max_message_bytes=6_000)).ready()
    yield Setup(harness)
    await harness.node.close()


FETCH = m.FetchSockets(5, "/", (), ())


def sids_in(messages: list[m.Message]) -> list[str]:
    parts = [unpack_values(message.part) for message in messages if isinstance(message, m.Response)]
    return [to_description(row).sid for part in parts for row in part]


async def test_number_of_clients_precedes_their_acknowledgements(setup: Setup) -> None:
    setup.sockets.answers = {A: [1, b"x"]}
    setup.responder.send_acks(PEER, m.AckedBroadcast(5, "/", (), (), 1.0, ackable("x")), [A, B])
    assert setup.sent() == [m.AckCount(5, 2), m.AckResponse(5, pack_values([1, b"x"]))]


async def test_target_without_clients_is_reported_as_zero(setup: Setup) -> None:
    setup.responder.send_acks(PEER, m.AckedBroadcast(5, "/", (), (), 1.0, ackable("x")), [])
    assert setup.sent() == [m.AckCount(5, 0)]


async def test_description_survives_the_round_trip(setup: Setup) -> None:
    setup.sockets.data[A] = {"n": 1, "raw": b"\x00", "deep": {"list": [None, 1.5]}}
    setup.responder.send_descriptions(PEER, FETCH, [A])
    (response,) = setup.sent()
    assert isinstance(response, m.Response)
    assert response.last
    assert [to_description(row) for row in unpack_values(response.part)] == setup.sockets.describe([A])


async def test_target_without_sockets_gets_one_empty_last_part(setup: Setup) -> None:
    setup.responder.send_descriptions(PEER, FETCH, [])
    assert setup.sent() == [m.Response(5, pack_values([]), True)]


async def test_long_response_is_split_into_messages_under_the_limit(setup: Setup) -> None:
    sids = [Sid(f"tag1{number:016}") for number in range(60)]
    for sid in sids:
        setup.sockets.data[sid] = {"text": "x" * 300}
    setup.responder.send_descriptions(PEER, FETCH, sids)
    messages = setup.sent()
    assert sids_in(messages) == sids
    assert len(messages) > 3
    assert [isinstance(message, m.Response) and message.last for message in messages] == [False] * (
        len(messages) - 1
    ) + [True]


async def test_many_sockets_are_described_in_slices(setup: Setup) -> None:
    sids = [Sid(f"tag1{number:016}") for number in range(3 * SLICE_SOCKETS + 1)]
    setup.responder.send_descriptions(PEER, FETCH, sids)
    assert setup.sent() == []
    await wait_until(lambda: sids_in(setup.sent()) == sids, "all descriptions")
    lasts = [message.last for message in setup.sent() if isinstance(message, m.Response)]
    assert lasts.index(True) == len(lasts) - 1


async def test_data_that_cannot_be_sent_is_left_out_and_reported(setup: Setup) -> None:
    setup.sockets.data = {A: {"object": object()}, B: {"text": "x" * 10_000}}
    with capture_logs() as lines:
        setup.responder.send_descriptions(PEER, FETCH, [A, B])
    assert sids_in(setup.sent()) == [A, B]
    assert setup.harness.node.diagnostics.counters["socket_description_truncated"] == 2
    assert (lines[0]["sid"], "object" in lines[0]["reason"]) == (A, True)


async def test_rooms_are_listed(setup: Setup) -> None:
    setup.responder.send_rooms(PEER, m.FetchRooms(5, "/"), ["a", "b"])
    assert setup.sent() == [m.Response(5, pack_values(["a", "b"]), True)]


async def test_first_answer_of_the_application_is_sent(setup: Setup) -> None:
    setup.sockets.server_side_answer = ["yes"]
    setup.responder.server_side_emit(PEER, m.ServerSideEmit("/", pack_values(["event", 1]), 5))
    setup.responder.server_side_emit(PEER, m.ServerSideEmit("/", pack_values(["event", 2]), None))
    assert setup.sockets.server_side == [["event", 1], ["event", 2]]
    assert setup.sent() == [m.Response(5, pack_values([["yes"]]), True)]


async def test_many_rooms_are_listed_in_slices(setup: Setup) -> None:
    names = [f"room {number}" for number in range(2_500)]
    setup.responder.send_rooms(PEER, m.FetchRooms(5, "/"), names)
    parts: list[m.Response] = []

    def complete() -> bool:
        parts[:] = [message for message in setup.sent() if isinstance(message, m.Response)]
        return any(part.last for part in parts)

    assert not complete()
    await wait_until(complete, "the last part")
    assert [name for part in parts for name in unpack_values(part.part)] == names
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]


async def test_number_of_clients_is_sent_again_when_one_leaves(setup: Setup) -> None:
    setup.responder.send_acks(PEER, m.AckedBroadcast(5, "/", (), (), 1.0, ackable("x")), [A, B])
    setup.sockets.on_expected(1)
    assert setup.sent() == [m.AckCount(5, 2), m.AckCount(5, 1)]
