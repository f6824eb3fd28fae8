from zmqio.adapter.base import Identity
from zmqio.cluster.membership import Membership
from zmqio.ids import NodeId, NodeTag
from zmqio.protocol.messages import Heartbeat

ME = NodeId("tag1AAAAAAAAAAA")
PEER = NodeId("tag2BBBBBBBBBBB")
NAMESAKE = NodeId("tag1CCCCCCCCCCC")


def beat(*, hello: bool = False, started_at: float = 100.0) -> Heartbeat:
    return Heartbeat(hello, started_at, False, "host", 1, 1)


def member(now: float = 0.0, started_at: float = 200.0) -> Membership:
    identity = Identity(ME, NodeTag("tag1"))
    return Membership(identity, started_at, heartbeat_s=1.0, dead_after_s=5.0, now=now)


def hear(membership: Membership, now: float, link: int = 0) -> None:
    membership.heartbeat(PEER, beat(), link=link, to_me=False, now=now)


def live(membership: Membership, start: int, end: int, *links: int) -> None:
    """Echoes each second, from `start` up to and including `end`, on links (the first, if none is named)."""
    for now in range(start, end + 1):
        for link in links or (0,):
            membership.echo(link, now)
        assert membership.take_dead(now) == []


def test_first_sight_is_a_join_and_is_answered_once() -> None:
    membership = member()
    seen = membership.heartbeat(PEER, beat(), link=0, to_me=False, now=0)
    assert (seen.joined, seen.must_answer, seen.wants_answer) == (True, True, False)
    assert membership.heartbeat(PEER, beat(), link=0, to_me=False, now=1) == (False, False, False, None)
    assert list(membership.peers) == [PEER]


def test_answer_is_not_answered() -> None:
    seen = member().heartbeat(PEER, beat(), link=0, to_me=True, now=0)
    assert (seen.joined, seen.must_answer) == (True, False)


def test_hello_is_always_answered() -> None:
    membership = member()
    hear(membership, 0)
    assert membership.heartbeat(PEER, beat(hello=True), link=0, to_me=False, now=1).must_answer
    assert membership.heartbeat(PEER, beat(hello=True), link=0, to_me=True, now=1).must_answer


def test_silent_peer_is_dead_while_the_own_echo_is_fresh() -> None:
    membership = member()
    hear(membership, 0)
    live(membership, 0, 4)
    membership.echo(0, 5)
    assert membership.take_dead(5) == [PEER]
    assert list(membership.peers) == []


def test_peer_that_comes_back_from_the_dead_joins_again() -> None:
    membership = member()
    hear(membership, 0)
    live(membership, 0, 4)
    membership.echo(0, 5)
    membership.take_dead(5)
    assert membership.heartbeat(PEER, beat(), link=0, to_me=False, now=6).joined


def test_outage_kills_nobody() -> None:
    membership = member()
    hear(membership, 0)
    membership.echo(0, 0)
    for now in range(1, 60):
        assert membership.take_dead(now) == []


def test_after_an_outage_every_peer_gets_new_time() -> None:
    membership = member()
    hear(membership, 0)
    membership.echo(0, 0)
    live(membership, 30, 34)
    membership.echo(0, 35)
    assert membership.take_dead(35) == [PEER]


def test_lost_link_counts_no_silence_until_an_echo_comes_through_it() -> None:
    membership = member()
    hear(membership, 0)
    live(membership, 0, 4)
    membership.link_lost(0)
    assert membership.take_dead(5) == []
    live(membership, 6, 10)
    membership.echo(0, 11)
    assert membership.take_dead(11) == [PEER]


def test_stall_of_this_node_kills_nobody() -> None:
    membership = member()
    hear(membership, 0)
    live(membership, 0, 2)
    assert membership.take_dead(20) == []
    hear(membership, 20)
    membership.echo(0, 20)
    assert membership.take_dead(20) == []


def test_dead_peer_is_told_by_one_of_two_links_it_was_on() -> None:
    membership = member()
    hear(membership, 0, link=0)
    hear(membership, 0, link=1)
    membership.echo(1, 0)
    live(membership, 0, 4, 0)
    membership.echo(0, 5)
    assert membership.take_dead(5) == [PEER]


def test_peer_that_was_on_the_lost_link_only_is_not_declared_dead() -> None:
    membership = member()
    hear(membership, 0, link=0)
    hear(membership, 10, link=1)
    membership.link_lost(1)
    live(membership, 10, 40, 0)


def test_peer_is_alive_on_either_link() -> None:
    membership = member()
    hear(membership, 0, link=0)
    for now in range(20):
        hear(membership, now, link=1)
        membership.echo(0, now)
        membership.echo(1, now)
        assert membership.take_dead(now) == []


def test_goodbye_is_for_good() -> None:
    membership = member()
    hear(membership, 0)
    assert membership.goodbye(PEER)
    assert not membership.goodbye(PEER)
    assert membership.heartbeat(PEER, beat(hello=True), link=0, to_me=False, now=1) == (False, False, False, None)
    assert list(membership.peers) == []


def test_node_is_deaf_without_an_echo_on_any_link() -> None:
    membership = member(now=10)
    assert not membership.has_echo
    assert not membership.is_echo_lost(14.9)
    assert membership.is_echo_lost(15)
    membership.echo(1, 16)
    assert membership.has_echo
    assert not membership.is_echo_lost(20.9)
    assert membership.is_echo_lost(21)
    assert membership.silence_s(21) == 5


def test_loss_of_a_link_is_not_deafness_yet() -> None:
    membership = member()
    membership.echo(0, 100)
    membership.link_lost(0)
    assert not membership.is_echo_lost(101)
    assert membership.ready_links(101) == []


def test_link_is_ready_once_the_echo_comes_through_it() -> None:
    membership = member()
    membership.echo(0, 0)
    membership.echo(1, 3)
    assert membership.ready_links(4) == [0, 1]
    assert membership.ready_links(5) == [1]


def test_namesake_on_the_common_topic_is_asked_and_not_believed() -> None:
    seen = member().heartbeat(NAMESAKE, beat(started_at=1), link=0, to_me=False, now=0)
    assert (seen.must_answer, seen.wants_answer, seen.clash) == (True, True, None)


def test_older_namesake_that_answers_is_a_clash() -> None:
    clash = member(started_at=200).heartbeat(NAMESAKE, beat(started_at=100), link=0, to_me=True, now=0).clash
    assert clash is not None
    assert (clash.tag, clash.holder, clash.tag_is_configured) == ("tag1", NAMESAKE, False)
    assert "tag1" in str(clash)


def test_younger_namesake_has_to_go_itself() -> None:
    assert (
        member(started_at=100).heartbeat(NAMESAKE, beat(started_at=200), link=0, to_me=True, now=0).clash is None
    )


def test_namesakes_of_the_same_moment_agree_who_goes() -> None:
    mine = member(started_at=5).heartbeat(NAMESAKE, beat(started_at=5), link=0, to_me=True, now=0).clash
    other = Membership(Identity(NAMESAKE, NodeTag("tag1")), 5, heartbeat_s=1, dead_after_s=5, now=0)
    theirs = other.heartbeat(ME, beat(started_at=5), link=0, to_me=True, now=0).clash
    assert (mine is None) != (theirs is None)
