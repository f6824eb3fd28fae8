import math
from dataclasses import replace

import pytest

from zmqio.adapter.base import Identity
from zmqio.cluster.membership import Membership, Sighting
from zmqio.ids import NodeId, NodeTag
from zmqio.protocol.messages import Heartbeat

ME = NodeId("tag1AAAAAAAAAAA")
PEER = NodeId("tag2BBBBBBBBBBB")
SAME_TAG = NodeId("tag1CCCCCCCCCCC")


def make_heartbeat(*, hello: bool = False, started_at: float = 100.0) -> Heartbeat:
    return Heartbeat(hello, started_at, False, "host", 1, 1)


def member(now: float = 0.0, started_at: float = 200.0, max_nodes: int = 1_000) -> Membership:
    identity = Identity(ME, NodeTag("tag1"))
    return Membership(identity, started_at, heartbeat_s=1.0, dead_after_s=5.0, max_nodes=max_nodes, now=now)


def receive(membership: Membership, now: float, link: int = 0) -> None:
    membership.heartbeat(PEER, make_heartbeat(), link=link, to_me=False, now=now)


def send_echoes(membership: Membership, start: int, end: int, *links: int) -> None:
    """Send echoes every second from `start` to `end` inclusive, on `links` (the first if none is given)."""
    for now in range(start, end + 1):
        for link in links or (0,):
            membership.echo(link, now)
        assert membership.take_dead(now) == []


def test_first_heartbeat_is_a_join_and_is_answered_once() -> None:
    membership = member()
    seen = membership.heartbeat(PEER, make_heartbeat(), link=0, to_me=False, now=0)
    assert (seen.joined, seen.must_answer, seen.wants_answer) == (True, True, False)
    assert membership.heartbeat(PEER, make_heartbeat(), link=0, to_me=False, now=1) == Sighting()
    assert list(membership.peers) == [PEER]


def test_keepers_are_the_nodes_whose_last_heartbeat_says_so() -> None:
    membership = member()
    receive(membership, 0)
    assert membership.keepers == []
    keeps = replace(make_heartbeat(), keeps_sessions=True)
    membership.heartbeat(PEER, keeps, link=0, to_me=False, now=1)
    membership.heartbeat(SAME_TAG, make_heartbeat(), link=0, to_me=False, now=1)
    assert membership.keepers == [PEER]
    receive(membership, 2)
    assert membership.keepers == []
    membership.heartbeat(PEER, keeps, link=0, to_me=False, now=3)
    membership.goodbye(PEER)
    assert membership.keepers == []


def test_answer_is_not_answered() -> None:
    seen = member().heartbeat(PEER, make_heartbeat(), link=0, to_me=True, now=0)
    assert (seen.joined, seen.must_answer) == (True, False)


def test_hello_is_always_answered() -> None:
    membership = member()
    receive(membership, 0)
    assert membership.heartbeat(PEER, make_heartbeat(hello=True), link=0, to_me=False, now=1).must_answer
    assert membership.heartbeat(PEER, make_heartbeat(hello=True), link=0, to_me=True, now=1).must_answer


def test_silent_peer_is_dead_while_the_own_echo_is_fresh() -> None:
    membership = member()
    receive(membership, 0)
    send_echoes(membership, 0, 4)
    membership.echo(0, 5)
    assert membership.take_dead(5) == [PEER]
    assert list(membership.peers) == []


def test_peer_that_returns_after_its_death_joins_again() -> None:
    membership = member()
    receive(membership, 0)
    send_echoes(membership, 0, 4)
    membership.echo(0, 5)
    membership.take_dead(5)
    assert membership.heartbeat(PEER, make_heartbeat(), link=0, to_me=False, now=6).joined


def test_no_peer_is_declared_dead_during_an_outage() -> None:
    membership = member()
    receive(membership, 0)
    membership.echo(0, 0)
    for now in range(1, 60):
        assert membership.take_dead(now) == []


def test_every_peer_gets_a_new_dead_after_s_after_an_outage() -> None:
    membership = member()
    receive(membership, 0)
    membership.echo(0, 0)
    send_echoes(membership, 30, 34)
    membership.echo(0, 35)
    assert membership.take_dead(35) == [PEER]


def test_silence_on_a_lost_link_does_not_count_until_an_echo_comes_through_it() -> None:
    membership = member()
    receive(membership, 0)
    send_echoes(membership, 0, 4)
    membership.link_lost(0, 0)
    assert membership.take_dead(5) == []
    send_echoes(membership, 6, 10)
    membership.echo(0, 11)
    assert membership.take_dead(11) == [PEER]


def test_no_peer_is_declared_dead_because_this_node_stalled() -> None:
    membership = member()
    receive(membership, 0)
    send_echoes(membership, 0, 2)
    assert membership.take_dead(20) == []
    receive(membership, 20)
    membership.echo(0, 20)
    assert membership.take_dead(20) == []


def test_one_of_two_links_with_a_fresh_echo_is_enough_to_detect_a_death() -> None:
    membership = member()
    receive(membership, 0, link=0)
    receive(membership, 0, link=1)
    membership.echo(1, 0)
    send_echoes(membership, 0, 4, 0)
    membership.echo(0, 5)
    assert membership.take_dead(5) == [PEER]


def test_peer_last_seen_on_a_lost_link_is_not_declared_dead() -> None:
    membership = member()
    receive(membership, 0, link=0)
    receive(membership, 10, link=1)
    membership.link_lost(1, 0)
    send_echoes(membership, 10, 40, 0)


def test_peer_is_alive_on_either_link() -> None:
    membership = member()
    receive(membership, 0, link=0)
    for now in range(20):
        receive(membership, now, link=1)
        membership.echo(0, now)
        membership.echo(1, now)
        assert membership.take_dead(now) == []


def suspected(*links: int) -> Membership:
    """A member whose peer was seen on these links, and lost by all of their brokers at 1."""
    membership = member()
    for link in links:
        membership.echo(link, 0)
        receive(membership, 0, link)
    for link in links[:-1]:
        assert not membership.departed(PEER, link, 1)
    assert membership.departed(PEER, links[-1], 1)
    assert membership.suspects() == [PEER]
    return membership


@pytest.mark.parametrize("links", [(0,), (0, 1)])
def test_peer_that_all_brokers_lost_is_dead_unless_it_returns_within_a_heartbeat(links: tuple[int, ...]) -> None:
    membership = suspected(*links)
    assert membership.take_departed(1.9) == []
    assert membership.take_departed(2) == [PEER]
    assert list(membership.peers) == []


def test_peer_that_only_reconnects_is_not_dead() -> None:
    membership = suspected(0, 1)
    receive(membership, 1.5, link=1)
    assert membership.suspects() == membership.take_departed(10) == []
    assert list(membership.peers) == [PEER]


def test_peer_that_one_of_two_brokers_lost_is_not_suspected() -> None:
    membership = member()
    for link in (0, 1):
        membership.echo(link, 0)
        receive(membership, 0, link)
    assert not membership.departed(PEER, 0, 1)
    assert membership.suspects() == membership.take_departed(10) == []


def test_broker_that_this_node_lost_need_not_confirm() -> None:
    membership = member()
    for link in (0, 1):
        membership.echo(link, 0)
        receive(membership, 0, link)
    membership.link_lost(1, 0)
    assert membership.departed(PEER, 0, 1)
    assert membership.take_departed(2) == [PEER]


def test_peer_is_not_suspected_while_this_node_receives_from_no_broker() -> None:
    membership = suspected(0)
    membership.link_lost(0, 0)
    assert membership.suspects() == membership.take_departed(10) == []


def test_peer_that_a_broker_lost_because_of_a_broken_route_is_not_suspected() -> None:
    membership = suspected(0)
    membership.link_doubted(0, 1.1)
    assert membership.suspects() == membership.take_departed(10) == []


def test_peer_that_a_doubted_broker_still_does_not_know_is_no_proof_until_the_peer_was_seen_again() -> None:
    membership = suspected(0)
    membership.link_doubted(0, 1.1)
    assert membership.departed(PEER, 0, 2)
    assert membership.suspects() == [PEER]  # its process may have ended
    assert membership.take_departed(4) == []
    receive(membership, 4)
    assert membership.departed(PEER, 0, 4.5)
    assert membership.take_departed(5.4) == []
    assert membership.take_departed(5.5) == [PEER]


def test_notice_before_the_loss_of_a_link_does_not_count_after_it() -> None:
    membership = suspected(0)
    membership.link_lost(0, 1.2)
    membership.echo(0, 3)
    assert membership.suspects() == membership.take_departed(10) == []


def test_peer_with_an_overdue_heartbeat_is_asked_once_in_each_interval() -> None:
    membership = member()
    receive(membership, 0)
    assert membership.take_overdue(1.2) == []
    assert membership.take_overdue(1.25) == [PEER]
    assert membership.take_overdue(1.35) == []
    assert membership.take_overdue(2.2) == [PEER]
    receive(membership, 2.3)
    assert membership.take_overdue(3.5) == []


def test_forged_notices_ask_a_peer_at_most_once_in_a_heartbeat_interval() -> None:
    membership = suspected(0)
    asked = 0
    for now in range(1, 100):
        receive(membership, 1 + now / 100)
        asked += membership.departed(PEER, 0, 1 + now / 100)
    assert asked == 0
    receive(membership, 2)
    assert membership.departed(PEER, 0, 2)


def test_notice_of_an_unknown_node_is_ignored() -> None:
    assert not member().departed(PEER, 0, 1)


def test_heartbeats_after_a_goodbye_are_ignored() -> None:
    membership = member()
    receive(membership, 0)
    assert membership.goodbye(PEER)
    assert not membership.goodbye(PEER)
    assert membership.heartbeat(PEER, make_heartbeat(hello=True), link=0, to_me=False, now=1) == Sighting()
    assert list(membership.peers) == []


def test_echo_is_lost_after_dead_after_s_without_one_on_any_link() -> None:
    membership = member(now=10)
    assert not membership.has_echo
    assert not membership.is_echo_lost(14.9)
    assert membership.is_echo_lost(15)
    membership.echo(1, 16)
    assert membership.has_echo
    assert not membership.is_echo_lost(20.9)
    assert membership.is_echo_lost(21)
    assert membership.silence_s(21) == 5


def test_echo_is_not_lost_at_once_when_a_link_is() -> None:
    membership = member()
    membership.echo(0, 100)
    membership.link_lost(0, 0)
    assert not membership.is_echo_lost(101)
    assert membership.ready_links(101) == []


def test_link_is_ready_while_echoes_come_through_it() -> None:
    membership = member()
    membership.echo(0, 0)
    membership.echo(1, 3)
    assert membership.ready_links(4) == [0, 1]
    assert membership.ready_links(5) == [1]


def test_heartbeat_with_the_own_tag_on_the_common_topic_is_questioned_and_no_clash_yet() -> None:
    seen = member().heartbeat(SAME_TAG, make_heartbeat(started_at=1), link=0, to_me=False, now=0)
    assert (seen.must_answer, seen.wants_answer, seen.clash) == (True, True, None)


def test_answer_of_an_older_node_with_the_own_tag_is_a_clash() -> None:
    clash = (
        member(started_at=200).heartbeat(SAME_TAG, make_heartbeat(started_at=100), link=0, to_me=True, now=0).clash
    )
    assert clash is not None
    assert (clash.tag, clash.holder, clash.tag_is_configured) == ("tag1", SAME_TAG, False)
    assert "tag1" in str(clash)


def test_answer_of_a_newer_node_with_the_own_tag_is_no_clash() -> None:
    assert (
        member(started_at=100).heartbeat(SAME_TAG, make_heartbeat(started_at=200), link=0, to_me=True, now=0).clash
        is None
    )


def test_nodes_with_one_tag_and_start_time_agree_which_of_them_leaves() -> None:
    mine = member(started_at=5).heartbeat(SAME_TAG, make_heartbeat(started_at=5), link=0, to_me=True, now=0).clash
    other = Membership(Identity(SAME_TAG, NodeTag("tag1")), 5, heartbeat_s=1, dead_after_s=5, now=0)
    theirs = other.heartbeat(ME, make_heartbeat(started_at=5), link=0, to_me=True, now=0).clash
    assert (mine is None) != (theirs is None)


def join(membership: Membership, number: int, now: float) -> Sighting:
    return membership.heartbeat(NodeId(f"N{number}"), make_heartbeat(), link=0, to_me=False, now=now)


def test_forged_heartbeats_never_replace_known_nodes() -> None:
    membership = member(max_nodes=10)
    receive(membership, 0)
    seen = [join(membership, number, 0) for number in range(1_000)]
    assert [each.joined for each in seen] == [True] * 9 + [False] * 991
    assert seen[-1] == Sighting(refused=True)
    receive(membership, 1)
    assert len(membership.peers) == 10 and PEER in membership.peers


def test_nodes_that_come_and_go_may_join_only_at_a_limited_rate() -> None:
    membership = member(max_nodes=10)
    for number in range(10):
        join(membership, number, 0)
        membership.goodbye(NodeId(f"N{number}"))
    assert join(membership, 10, 0).refused
    assert join(membership, 10, 1).joined
    assert join(membership, 11, 1).refused


def test_next_check_is_when_the_first_peer_may_be_dead() -> None:
    membership = member()
    assert membership.next_check_s(0) == math.inf
    receive(membership, 1)
    membership.heartbeat(SAME_TAG, make_heartbeat(), link=0, to_me=False, now=3)
    assert membership.next_check_s(4) == 2
    receive(membership, 4)
    assert membership.next_check_s(4) == 4


def test_overdue_peer_whose_link_brings_no_echo_is_checked_ten_times_a_heartbeat() -> None:
    membership = member()
    receive(membership, 0)
    assert membership.take_dead(5) == []
    assert membership.next_check_s(5) == 0.1
