"""A node sends heartbeats and tracks those of other nodes."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.support.node_harness import ALL, ME, OPTIONS, PEER, SAME_TAG, NodeHarness
from tests.support.timing import wait_until
from zmqio.cluster.membership import Membership
from zmqio.cluster.processes import machine_id
from zmqio.exceptions import BusUnavailableError
from zmqio.ids import NodeId
from zmqio.protocol import messages as m
from zmqio.protocol.recovery_messages import RecoveryMessage
from zmqio.protocol.topic import inbox_topic


def ended_process() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


class NoRecovery:
    """Ignores the messages of recovery."""

    def received(self, sender: NodeId, message: RecoveryMessage) -> None: ...

    def node_left(self, node_id: NodeId, *, died: bool) -> None: ...


@pytest_asyncio.fixture
async def harness() -> AsyncIterator[NodeHarness]:
    harness = await NodeHarness().ready()
    yield harness
    await harness.node.close()


async def test_start_does_not_wait_for_a_broker_and_health_gives_the_reason() -> None:
    harness = NodeHarness()
    harness.network.up[0] = False
    await harness.node.start()
    health = harness.node.health()
    assert not health.ready
    assert health.reasons[0].startswith("no broker has returned a heartbeat of this node yet")
    assert health.reasons[1:] == ("broker 0 is away",)
    assert health.details["broker_problems"] == ["broker 0 is away"]
    with pytest.raises(BusUnavailableError):
        harness.node.outbox.publish(ALL, m.FetchRooms(1, "/"), may_wait=False)
    harness.network.mend(0)
    await wait_until(lambda: harness.node.health().ready, "the echo")
    assert harness.node.health().reasons == ()
    await harness.node.close()


async def test_only_the_first_heartbeat_asks_for_answers(harness: NodeHarness) -> None:
    await wait_until(lambda: len(harness.sent(m.Heartbeat)) > 3, "heartbeats")
    beats = [envelope.message for _, envelope in harness.sent(m.Heartbeat)]
    assert [isinstance(beat, m.Heartbeat) and beat.hello for beat in beats[:3]] == [True, False, False]


async def test_whether_this_node_keeps_sessions_is_announced_at_once() -> None:
    harness = await NodeHarness(options=replace(OPTIONS, heartbeat_s=30.0, dead_after_s=90.0)).ready()

    def announced() -> list[bool]:
        beats = [envelope.message for _, envelope in harness.sent(m.Heartbeat)]
        return [beat.keeps_sessions for beat in beats if isinstance(beat, m.Heartbeat)]

    assert announced() == [False]
    harness.node.recover_sessions(NoRecovery())
    await wait_until(lambda: announced() == [False, True], "the announcement")
    harness.node.stop_keeping_sessions()
    await wait_until(lambda: announced() == [False, True, False], "its end")
    await harness.node.close()
    harness.node.stop_keeping_sessions()
    assert announced() == [False, True, False]


async def test_a_node_that_is_not_connected_yet_announces_it_with_its_first_heartbeat() -> None:
    harness = NodeHarness()
    harness.node.recover_sessions(NoRecovery())
    await harness.ready()
    first = harness.sent(m.Heartbeat)[0][1].message
    assert isinstance(first, m.Heartbeat) and first.keeps_sessions
    await harness.node.close()


async def test_new_node_is_answered_at_once_in_its_inbox() -> None:
    harness = await NodeHarness(options=replace(OPTIONS, heartbeat_s=5.0, dead_after_s=30.0)).ready()
    harness.peer_heartbeat()
    await wait_until(lambda: harness.events.seen, "the join")
    assert harness.events.seen == [("joined", PEER)]
    assert [topic for topic, _ in harness.sent(m.Heartbeat) if topic != ALL] == [inbox_topic("zmqio", PEER)]
    assert list(harness.node.peers) == [PEER]
    await harness.node.close()


async def test_goodbye_is_reported(harness: NodeHarness) -> None:
    harness.peer_heartbeat()
    harness.peer_sends(m.Goodbye("goodbye"), previous=None)
    await wait_until(lambda: len(harness.events.seen) == 2, "the goodbye")
    assert harness.events.seen[1] == ("left", PEER, "goodbye")


async def test_silent_node_is_declared_dead_and_requests_to_it_end(harness: NodeHarness) -> None:
    harness.peer_heartbeat()
    await wait_until(lambda: harness.node.peers, "the peer")
    with harness.node.responses.open(list(harness.node.peers)) as request:
        waiting = asyncio.ensure_future(request.result(20))
        await wait_until(waiting.done, "the end of the request")
        assert waiting.exception().missing == [PEER]  # type: ignore[union-attr]
    assert harness.events.seen[1] == ("left", PEER, "silent")
    assert harness.node.diagnostics.counters["nodes_died"] == 1


async def test_node_that_the_broker_lost_is_asked_and_declared_dead_long_before_it_counts_as_silent() -> None:
    harness = await NodeHarness(options=replace(OPTIONS, dead_after_s=30.0)).ready()
    harness.peer_heartbeat()
    await wait_until(lambda: harness.node.peers, "the peer")
    harness.node.inbound.inbox_departed(0, inbox_topic("zmqio", PEER))
    await wait_until(lambda: len(harness.events.seen) == 2, "the death")
    assert harness.events.seen[1] == ("left", PEER, "disconnected")
    assert harness.node.diagnostics.counters["nodes_died"] == 1
    asked = [e.message for topic, e in harness.sent(m.Heartbeat) if topic == inbox_topic("zmqio", PEER)]
    assert any(isinstance(message, m.Heartbeat) and message.hello for message in asked)
    await harness.node.close()


async def test_silent_node_gets_heartbeats_which_show_whether_anybody_subscribes_to_its_inbox() -> None:
    harness = await NodeHarness(options=replace(OPTIONS, dead_after_s=30.0)).ready()
    inbox = inbox_topic("zmqio", PEER)
    harness.peer_heartbeat()
    await wait_until(lambda: len([topic for topic, _ in harness.sent(m.Heartbeat) if topic == inbox]) > 3, "asked")
    assert list(harness.node.peers) == [PEER]
    await harness.node.close()


async def test_node_behind_a_broken_route_is_not_declared_dead() -> None:
    harness = await NodeHarness(options=replace(OPTIONS, dead_after_s=30.0)).ready()
    harness.peer_heartbeat()
    await wait_until(lambda: harness.node.peers, "the peer")
    harness.node.inbound.inbox_departed(0, inbox_topic("zmqio", PEER))
    harness.node.inbound.link_doubted(0)
    harness.peer_heartbeat(SAME_TAG)
    await wait_until(lambda: SAME_TAG in harness.node.peers, "a peer that is seen after the doubt")
    for peer in (PEER, SAME_TAG):
        harness.node.inbound.inbox_departed(0, inbox_topic("zmqio", peer))
    await wait_until(lambda: SAME_TAG not in harness.node.peers, "its death")
    assert list(harness.node.peers) == [PEER]
    await harness.node.close()


async def test_process_of_the_same_machine_that_has_ended_is_dead_at_once() -> None:
    harness = await NodeHarness(options=replace(OPTIONS, heartbeat_s=5.0, dead_after_s=30.0)).ready()
    heartbeat = m.Heartbeat(False, 1.0, False, "here", ended_process(), 1, machine_id())
    harness.peer_sends(heartbeat, previous=None)
    await wait_until(lambda: harness.node.peers, "the peer")
    harness.node.inbound.inbox_departed(0, inbox_topic("zmqio", PEER))
    await wait_until(lambda: len(harness.events.seen) == 2, "the death")
    assert harness.events.seen[1] == ("left", PEER, "disconnected")
    harness.peer_sends(heartbeat, previous=None)  # a late copy
    harness.peer_heartbeat(SAME_TAG)
    await wait_until(lambda: SAME_TAG in harness.node.peers, "what was sent after it")
    assert PEER not in harness.node.peers
    await harness.node.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the end of other processes")
async def test_broker_is_asked_at_once_about_a_process_of_the_same_machine_that_ends() -> None:
    harness = await NodeHarness(options=replace(OPTIONS, heartbeat_s=5.0, dead_after_s=30.0)).ready()
    inbox = inbox_topic("zmqio", PEER)

    def asked() -> int:
        return [topic for topic, _ in harness.sent(m.Heartbeat)].count(inbox)

    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    try:
        heartbeat = m.Heartbeat(False, 1.0, False, "here", process.pid, 1, machine_id())
        harness.peer_sends(heartbeat, previous=None)
        await wait_until(lambda: asked() == 1, "the answer to the first heartbeat")
    finally:
        process.kill()
        await process.wait()
    await wait_until(lambda: asked() > 2, "messages to its inbox, at once and again")
    assert list(harness.node.peers) == [PEER]  # messages of it may be under way
    harness.node.inbound.inbox_departed(0, inbox)
    assert list(harness.node.peers) == []
    await harness.node.close()


async def test_process_of_another_machine_is_not_looked_up(harness: NodeHarness) -> None:
    heartbeat = m.Heartbeat(False, 1.0, False, "far", ended_process(), 1, "0123456789abcdef")
    harness.peer_sends(heartbeat, previous=None)
    await wait_until(lambda: harness.node.peers, "the peer")
    harness.node.inbound.inbox_departed(0, inbox_topic("zmqio", PEER))
    harness.peer_heartbeat()
    harness.peer_heartbeat(SAME_TAG)
    await wait_until(lambda: SAME_TAG in harness.node.peers, "what was sent after it")
    assert PEER in harness.node.peers


@pytest.mark.parametrize("topic", [b"", b"zmqio/u/", b"\xff/u/x\0", b"zmqio/a/\0", inbox_topic("zmqio", ME)])
async def test_malformed_notice_of_a_departure_is_harmless(harness: NodeHarness, topic: bytes) -> None:
    harness.node.inbound.inbox_departed(0, topic)
    harness.peer_heartbeat()
    await wait_until(lambda: harness.node.peers, "the next message")


async def test_node_is_not_ready_while_its_heartbeats_do_not_come_back(harness: NodeHarness) -> None:
    harness.peer_heartbeat()
    harness.network.faults.drop = lambda topic, body: True  # the broker hangs: connected, but nothing passes
    with capture_logs() as lines:
        await wait_until(lambda: not harness.node.health().ready, "the missing echo")
        assert harness.node.health().reasons[0].startswith("no broker has returned a heartbeat of this node for")
        await wait_until(lambda: harness.node.diagnostics.counters["heartbeat_echo_lost"], "the count")
        harness.network.faults.drop = lambda topic, body: False
        await wait_until(lambda: harness.node.health().ready, "the echo")
        await wait_until(lambda: any(line["event"] == "heartbeat_echo_restored" for line in lines), "the log line")
    assert [event for event, *_ in harness.events.seen] == ["joined"]


async def test_tag_check_passes_without_another_holder(harness: NodeHarness) -> None:
    harness.peer_heartbeat(PEER, to_me=True)
    assert await harness.node.wait_for_tag_check(20) is None


async def test_tag_check_waits_for_a_broker_only_up_to_its_limit() -> None:
    harness = NodeHarness()
    harness.network.up[0] = False
    await harness.node.start()
    assert await harness.node.wait_for_tag_check(0) is None
    await harness.node.close()


async def test_dead_node_with_the_same_tag_is_no_clash(harness: NodeHarness) -> None:
    harness.peer_heartbeat(SAME_TAG)  # a last heartbeat that was still under way: no node answers
    await wait_until(
        lambda: any(topic != ALL for topic, _ in harness.sent(m.Heartbeat)),
        "the heartbeat that asks for an answer",
    )
    asking = next(e.message for topic, e in harness.sent(m.Heartbeat) if topic == inbox_topic("zmqio", SAME_TAG))
    assert isinstance(asking, m.Heartbeat)
    assert asking.hello
    assert await harness.node.wait_for_tag_check(20) is None
    assert harness.node.health().ready


@pytest.mark.parametrize("configured", [False, True])
async def test_older_holder_of_the_tag_that_answers_makes_this_node_leave(configured: bool) -> None:
    harness = await NodeHarness(configured=configured).ready()
    harness.peer_heartbeat(SAME_TAG, to_me=True)
    clash = await harness.node.wait_for_tag_check(20)
    assert clash is not None
    assert (clash.holder, clash.host, clash.pid, clash.tag_is_configured) == (SAME_TAG, "far", 7, configured)
    assert [envelope.message for _, envelope in harness.sent(m.Goodbye)] == [m.Goodbye("tag clash")]
    health = harness.node.health()
    assert not health.ready
    assert SAME_TAG in health.reasons[0]
    assert list(harness.node.peers) == []
    with pytest.raises(BusUnavailableError, match="tag1"):
        harness.node.outbox.publish(ALL, m.FetchRooms(1, "/"))
    await wait_until(lambda: harness.bus.closed, "the end of the bus")
    await harness.node.close()


async def test_newer_holder_of_the_tag_does_not_make_this_node_leave(harness: NodeHarness) -> None:
    harness.peer_heartbeat(SAME_TAG, to_me=True, started_at=4e9)
    assert await harness.node.wait_for_tag_check(20) is None
    assert harness.node.health().ready


async def test_clash_found_after_the_tag_check_makes_the_node_unready(harness: NodeHarness) -> None:
    assert await harness.node.wait_for_tag_check(20) is None
    with capture_logs() as lines:
        harness.peer_heartbeat(SAME_TAG, to_me=True)
        await wait_until(lambda: not harness.node.health().ready, "red")
    assert "node_tag_clashed" in [line["event"] for line in lines]


@pytest.mark.parametrize(("theirs", "count"), [("msgpack", 1), ("json", 0), ("", 0)])
async def test_node_with_another_parser_is_reported(theirs: str, count: int) -> None:
    harness = NodeHarness(packet_format="json")
    await harness.ready()
    with capture_logs() as lines:
        harness.peer_sends(m.Heartbeat(False, 1.0, False, "far", 7, 1, "", theirs), previous=None)
        await wait_until(lambda: harness.node.peers, "the peer")
    assert harness.node.diagnostics.counters["packet_format_mismatched"] == count
    found = [
        (line["format"], line["peer_format"]) for line in lines if line["event"] == "packet_format_mismatched"
    ]
    assert found == [("json", "msgpack")] * count
    sent = [envelope.message for _, envelope in harness.sent(m.Heartbeat)]
    assert isinstance(sent[0], m.Heartbeat) and sent[0].packet_format == "json"
    await harness.node.close()


async def test_forged_heartbeats_are_refused_counted_and_not_answered() -> None:
    harness = await NodeHarness(options=replace(OPTIONS, max_nodes=5, heartbeat_s=5.0, dead_after_s=30.0)).ready()
    harness.peer_heartbeat()
    for number in range(50):
        harness.peer_heartbeat(NodeId(f"tag9{number:011}"), hello=True)
    counters = harness.node.diagnostics.counters
    await wait_until(lambda: counters["heartbeats_refused"] == 46, "the refusals")
    assert len(harness.node.peers) == 5 and PEER in harness.node.peers
    assert len([topic for topic, _ in harness.sent(m.Heartbeat) if topic != ALL]) == 5
    await harness.node.close()


async def test_heartbeats_go_on_after_an_unexpected_error(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Membership, now: float) -> list[NodeId]:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Membership, "take_dead", fail)
    await wait_until(lambda: harness.node.diagnostics.counters["heartbeat_failed"] > 1, "the errors")
    monkeypatch.undo()
    sent = len(harness.sent(m.Heartbeat))
    await wait_until(lambda: len(harness.sent(m.Heartbeat)) > sent + 1, "further heartbeats")
