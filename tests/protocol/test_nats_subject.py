"""Tests of `zmqio.protocol.nats_subject`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.exceptions import TopicError
from zmqio.ids import NodeTag
from zmqio.protocol.nats_subject import (
    MAX_TOKEN_BYTES,
    is_prefix,
    subject_of,
    subject_of_prefix,
    token_of,
    topic_of,
)
from zmqio.protocol.topic import all_topic, inbox_topic, namespace_topic, owner_prefix, room_topic

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
SID = "Ab_-" + "0" * 15 + "_"


@pytest.mark.parametrize(
    ("topic", "subject"),
    [
        (namespace_topic("zmqio", "/"), b"zmqio.n._"),
        (namespace_topic("my.app", "/chat"), b"my=2Eapp.n.=2Fchat"),
        (namespace_topic("zmqio", "/_"), b"zmqio.n.=2F=5F"),
        (room_topic("zmqio", "/", "lobby"), b"zmqio.r._.lobby"),
        (room_topic("zmqio", "/", ""), b"zmqio.r._.="),
        (room_topic("zmqio", "/", "a b*>.$"), b"zmqio.r._.a=20b=2A=3E=2E=24"),
        (room_topic("zmqio", "/", "\u00e9"), b"zmqio.r._.=C3=A9"),
        (room_topic("zmqio", "/", SID), b"zmqio.s.Ab=5F-.000000000000000=5F._"),
        (inbox_topic("zmqio", "node-1"), b"zmqio.u.node-1"),
        (all_topic("zmqio"), b"zmqio.a"),
    ],
)
def test_subject_of_each_kind_of_topic(topic: bytes, subject: bytes) -> None:
    assert subject_of(topic) == subject
    assert not is_prefix(topic)


def test_prefix_of_a_node_has_a_wildcard() -> None:
    prefix = owner_prefix("zmqio", NodeTag("a_b-"))
    assert is_prefix(prefix)
    assert subject_of_prefix(prefix) == b"zmqio.s.a=5Fb-.>"


@pytest.mark.parametrize("prefix", [b"zmqio/r/x", b"zmqio/s/abcde"])
def test_other_prefixes_have_no_subject(prefix: bytes) -> None:
    with pytest.raises(TopicError):
        subject_of_prefix(prefix)


@given(NAMES, NAMES, NAMES, NAMES)
def test_different_topics_have_different_subjects(ns: str, room: str, other_ns: str, other_room: str) -> None:
    one, other = room_topic("zmqio", ns, room), room_topic("zmqio", other_ns, other_room)
    assert (subject_of(one) == subject_of(other)) == (one == other)


@given(NAMES)
def test_tokens_are_short_and_have_no_special_characters(name: str) -> None:
    token = token_of(name.encode())
    assert 0 < len(token) <= MAX_TOKEN_BYTES
    assert not set(token) & set(b" .*>\t\r\n$")


def test_long_names_are_hashed() -> None:
    tokens = {token_of(b"x" * 5_000), token_of(b"x" * 5_001), token_of(b"x" * MAX_TOKEN_BYTES)}
    assert {len(token) for token in tokens} == {42, MAX_TOKEN_BYTES}
    assert len(tokens) == 3


@given(NAMES)
def test_topic_of_a_session_is_found_from_its_subject(namespace: str) -> None:
    topic = room_topic("my app", namespace, SID)
    subject = subject_of(topic)
    if b"=~" not in subject:
        assert topic_of(subject) == topic


@pytest.mark.parametrize("subject", [b"zmqio.n._", b"zmqio.r.a.b.c", b"zmqio.s.a.b", b"zmqio.s.abcd.x.=~00"])
def test_other_subjects_have_no_such_topic(subject: bytes) -> None:
    with pytest.raises(TopicError):
        topic_of(subject)
