"""How a node sends heartbeats and tracks those of other nodes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.support.node_stage import ALL, PEER, SAME_TAG, NodeStage
from tests.support.timing import wait_until
from zmqio.exceptions import BusUnavailableError
from zmqio.protocol import messages as m
from zmqio.protocol.topic import inbox_topic


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[NodeStage]:
    stage = await NodeStage().ready()
    yield stage
    await stage.node.close()


async def test_start_does_not_wait_for_a_broker_and_health_gives_the_reason() -> None:
    stage = NodeStage()
    stage.network.up[0] = False
    await stage.node.start()
    health = stage.node.health()
    assert not health.ready
    assert health.reasons[0].startswith("no broker has returned a heartbeat of this node yet")
    assert health.reasons[1:] == ("broker 0 is away",)
    assert health.details["broker_problems"] == ["broker 0 is away"]
    with pytest.raises(BusUnavailableError):
        stage.node.outbox.publish(ALL, m.FetchRooms(1, "/"), may_wait=False)
    stage.network.mend(0)
    await wait_until(lambda: stage.node.health().ready, "the echo")
    assert stage.node.health().reasons == ()
    await stage.node.close()


async def test_only_the_first_heartbeat_asks_for_answers(stage: NodeStage) -> None:
    await wait_until(lambda: len(stage.sent(m.Heartbeat)) > 3, "heartbeats")
    beats = [envelope.message for _, envelope in stage.sent(m.Heartbeat)]
    assert [isinstance(beat, m.Heartbeat) and beat.hello for beat in beats[:3]] == [True, False, False]


async def test_new_node_is_answered_at_once_in_its_inbox(stage: NodeStage) -> None:
    stage.peer_heartbeat()
    await wait_until(lambda: stage.events.seen, "the join")
    assert stage.events.seen == [("joined", PEER)]
    assert [topic for topic, _ in stage.sent(m.Heartbeat) if topic != ALL] == [inbox_topic("zmqio", PEER)]
    assert list(stage.node.peers) == [PEER]


async def test_goodbye_is_reported(stage: NodeStage) -> None:
    stage.peer_heartbeat()
    stage.peer_sends(m.Goodbye("goodbye"), previous=None)
    await wait_until(lambda: len(stage.events.seen) == 2, "the goodbye")
    assert stage.events.seen[1] == ("left", PEER, "goodbye")


async def test_silent_node_is_declared_dead_and_requests_to_it_end(stage: NodeStage) -> None:
    stage.peer_heartbeat()
    await wait_until(lambda: stage.node.peers, "the peer")
    with stage.node.responses.open(list(stage.node.peers)) as request:
        waiting = asyncio.ensure_future(request.result(20))
        await wait_until(waiting.done, "the end of the request")
        assert waiting.exception().missing == [PEER]  # type: ignore[union-attr]
    assert stage.events.seen[1] == ("left", PEER, "silent")
    assert stage.node.diagnostics.counters["nodes_died"] == 1


async def test_node_is_not_ready_while_its_heartbeats_do_not_come_back(stage: NodeStage) -> None:
    stage.peer_heartbeat()
    stage.network.faults.drop = lambda topic, body: True  # the broker hangs: connected, but nothing passes
    with capture_logs() as lines:
        await wait_until(lambda: not stage.node.health().ready, "the missing echo")
        assert stage.node.health().reasons[0].startswith("no broker has returned a heartbeat of this node for")
        await wait_until(lambda: stage.node.diagnostics.counters["heartbeat_echo_lost"], "the count")
        stage.network.faults.drop = lambda topic, body: False
        await wait_until(lambda: stage.node.health().ready, "the echo")
        await wait_until(lambda: any(line["event"] == "heartbeat_echo_restored" for line in lines), "the log line")
    assert [event for event, *_ in stage.events.seen] == ["joined"]


async def test_tag_check_passes_without_another_holder(stage: NodeStage) -> None:
    stage.peer_heartbeat(PEER, to_me=True)
    assert await stage.node.wait_for_tag_check(20) is None


async def test_tag_check_waits_for_a_broker_only_up_to_its_limit() -> None:
    stage = NodeStage()
    stage.network.up[0] = False
    await stage.node.start()
    assert await stage.node.wait_for_tag_check(0) is None
    await stage.node.close()


async def test_dead_node_with_the_same_tag_is_no_clash(stage: NodeStage) -> None:
    stage.peer_heartbeat(SAME_TAG)  # a last heartbeat that was still under way: no node answers
    await wait_until(
        lambda: any(topic != ALL for topic, _ in stage.sent(m.Heartbeat)), "the heartbeat that asks for an answer"
    )
    asking = next(e.message for topic, e in stage.sent(m.Heartbeat) if topic == inbox_topic("zmqio", SAME_TAG))
    assert isinstance(asking, m.Heartbeat)
    assert asking.hello
    assert await stage.node.wait_for_tag_check(20) is None
    assert stage.node.health().ready


@pytest.mark.parametrize("configured", [False, True])
async def test_older_holder_of_the_tag_that_answers_makes_this_node_leave(configured: bool) -> None:
    stage = await NodeStage(configured=configured).ready()
    stage.peer_heartbeat(SAME_TAG, to_me=True)
    clash = await stage.node.wait_for_tag_check(20)
    assert clash is not None
    assert (clash.holder, clash.host, clash.pid, clash.tag_is_configured) == (SAME_TAG, "far", 7, configured)
    assert [envelope.message for _, envelope in stage.sent(m.Goodbye)] == [m.Goodbye("tag clash")]
    health = stage.node.health()
    assert not health.ready
    assert SAME_TAG in health.reasons[0]
    assert list(stage.node.peers) == []
    with pytest.raises(BusUnavailableError, match="tag1"):
        stage.node.outbox.publish(ALL, m.FetchRooms(1, "/"))
    await wait_until(lambda: stage.bus.closed, "the end of the bus")
    await stage.node.close()


async def test_newer_holder_of_the_tag_does_not_make_this_node_leave(stage: NodeStage) -> None:
    stage.peer_heartbeat(SAME_TAG, to_me=True, started_at=4e9)
    assert await stage.node.wait_for_tag_check(20) is None
    assert stage.node.health().ready


async def test_clash_found_after_the_tag_check_makes_the_node_unready(stage: NodeStage) -> None:
    assert await stage.node.wait_for_tag_check(20) is None
    with capture_logs() as lines:
        stage.peer_heartbeat(SAME_TAG, to_me=True)
        await wait_until(lambda: not stage.node.health().ready, "red")
    assert "node_tag_clashed" in [line["event"] for line in lines]
