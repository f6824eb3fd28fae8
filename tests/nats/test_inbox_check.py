"""Tests of `zmqio.nats.inbox_check`; tests/nats/test_bus.py uses it on real servers."""

import pytest

from zmqio.ids import NodeId
from zmqio.nats.inbox_check import InboxCheck
from zmqio.protocol.nats_subject import subject_of
from zmqio.protocol.topic import all_topic, inbox_topic, namespace_topic, room_topic


@pytest.mark.parametrize("prefix", ["zmqio", "my app"])
@pytest.mark.parametrize("node_id", ["tag1AAAAAAAAAAA", "a-b_c"])
def test_message_to_an_inbox_names_a_subject_for_replies_which_names_the_inbox(prefix: str, node_id: str) -> None:
    inboxes, topic = InboxCheck(prefix), inbox_topic(prefix, NodeId(node_id))
    subject, reply = inboxes.destination_of(topic).split(b" ")
    assert subject == subject_of(topic)
    assert inboxes.inbox_of(reply) == topic
    command, subscribed, sid = inboxes.subscribe.split()
    assert (command, sid) == (b"SUB", b"0")
    assert reply.rpartition(b".")[0] + b".*" == subscribed


def test_two_buses_have_different_subjects_for_replies() -> None:
    assert InboxCheck("zmqio").subscribe != InboxCheck("zmqio").subscribe


@pytest.mark.parametrize(
    "topic", [all_topic("zmqio"), namespace_topic("zmqio", "/u/"), room_topic("zmqio", "/", "zmqio/u/x")]
)
def test_other_messages_name_no_subject_for_replies(topic: bytes) -> None:
    assert InboxCheck("zmqio").destination_of(topic) == subject_of(topic)
