"""Lines about nodes that join and leave."""

from structlog.testing import capture_logs

from tests.support.node_harness import NodeHarness
from tests.support.timing import wait_until
from zmqio.cluster.member_log import LONGEST_S, QUIET_S, STARTUP_S, MemberLog
from zmqio.ids import NodeId

LATER = STARTUP_S


def test_nodes_that_are_found_at_the_start_are_logged_at_debug_only() -> None:
    with capture_logs() as logs:
        members = MemberLog(0.0)
        for number in range(5):
            members.joined(0.1, peer=str(number))
        members.tick(LATER, 6)
    assert [line["log_level"] for line in logs] == ["debug"] * 5


def test_several_at_once_are_one_line() -> None:
    with capture_logs() as logs:
        members = MemberLog(0.0)
        for number in range(3):
            members.joined(LATER + number * 0.1, peer=str(number), host="far")
        members.tick(LATER + 0.3, 4)
        assert logs == []
        members.tick(LATER + 0.2 + QUIET_S, 4)
        members.tick(LATER + 9, 4)
        members.joined(LATER + 10, peer="later", host="far")
        members.tick(LATER + 11, 5)
    assert logs == [
        {"event": "node_joined", "log_level": "info", "peer": "0", "host": "far", "times": 3, "nodes": 4},
        {"event": "node_joined", "log_level": "info", "peer": "later", "host": "far", "nodes": 5},
    ]


def test_line_does_not_wait_without_end() -> None:
    with capture_logs() as logs:
        members = MemberLog(0.0)
        now = LATER
        while not logs:
            members.joined(now, peer="x")
            members.tick(now, 2)
            now += QUIET_S / 2
    assert now - LATER <= LONGEST_S + QUIET_S


def test_dead_node_is_logged_at_once_and_goodbyes_together() -> None:
    with capture_logs() as logs:
        members = MemberLog(0.0)
        members.left(LATER, died=False, peer="a", reason="goodbye")
        members.left(LATER, died=False, peer="b", reason="goodbye")
        members.left(LATER, died=True, peer="c", reason="silent")
        assert [line["peer"] for line in logs] == ["c"]
        members.tick(LATER + QUIET_S, 1)
    assert (logs[1]["peer"], logs[1]["times"], logs[1]["nodes"]) == ("a", 2, 1)


async def test_twenty_nodes_that_start_together_write_few_lines() -> None:
    with capture_logs() as logs:
        harness = await NodeHarness().ready()
        for number in range(20):
            harness.peer_heartbeat(NodeId(f"t{number:03}BBBBBBBBBBB"))
        await wait_until(lambda: len(harness.node.peers) == 20, "the peers")
        await harness.node.close()
    assert [line for line in logs if line["event"] == "node_joined" and line["log_level"] == "info"] == []
