"""Tests of `zmqio.nats.subscriptions`."""

import pytest

from zmqio.exceptions import TopicError
from zmqio.ids import NodeTag
from zmqio.nats.subscriptions import NatsSubscriptions
from zmqio.protocol.topic import all_topic, namespace_topic, owner_prefix, room_topic

ALL = all_topic("zmqio")
ROOT = namespace_topic("zmqio", "/")
PREFIX = owner_prefix("zmqio", NodeTag("abcd"))
OF_SESSION = room_topic("zmqio", "/", "abcd" + "x" * 16)
SUBJECT = b"zmqio.s.abcd.xxxxxxxxxxxxxxxx._"


def test_each_topic_has_one_number_until_it_is_cancelled_as_often_as_made() -> None:
    subscriptions = NatsSubscriptions()
    assert subscriptions.add([ALL, ROOT]) == [b"SUB zmqio.a 1\r\n", b"SUB zmqio.n._ 2\r\n"]
    assert subscriptions.add([ALL]) == []
    assert subscriptions.remove([ALL, ROOT]) == [b"UNSUB 2\r\n"]
    assert subscriptions.commands() == [b"SUB zmqio.a 1\r\n"]
    assert subscriptions.remove([ALL]) == [b"UNSUB 1\r\n"]
    assert subscriptions.add([ALL]) == [b"SUB zmqio.a 3\r\n"]


def test_message_is_split_into_topic_and_body() -> None:
    subscriptions = NatsSubscriptions()
    subscriptions.add([ALL])
    assert subscriptions.read(1, b"zmqio.a", ALL + b"body") == (ALL, b"body")


def test_body_alone_has_the_topic_of_its_subscription() -> None:
    subscriptions = NatsSubscriptions()
    long_room = room_topic("zmqio", "/", "\u00e9" * 100)
    subscriptions.add([ROOT, PREFIX, long_room])
    assert subscriptions.read(1, b"zmqio.n._", b'{"event":"x"}') == (ROOT, b'{"event":"x"}')
    assert subscriptions.read(2, SUBJECT, b"\x81") == (OF_SESSION, b"\x81")
    assert subscriptions.read(3, b"any", b"{}") == (long_room, b"{}")


def test_prefix_covers_its_topics_which_get_no_number() -> None:
    subscriptions = NatsSubscriptions()
    assert subscriptions.add([PREFIX]) == [b"SUB zmqio.s.abcd.> 1\r\n"]
    assert subscriptions.add([OF_SESSION]) == []
    assert subscriptions.read(1, SUBJECT, OF_SESSION + b"body") == (OF_SESSION, b"body")
    assert subscriptions.remove([OF_SESSION]) == []
    assert subscriptions.commands() == [b"SUB zmqio.s.abcd.> 1\r\n"]


def test_message_of_a_cancelled_subscription_is_dropped() -> None:
    subscriptions = NatsSubscriptions()
    subscriptions.add([ALL])
    subscriptions.remove([ALL])
    assert subscriptions.read(1, b"zmqio.a", ALL) is None


@pytest.mark.parametrize("payload", [b"", b"\x91", ROOT + b"body", b"zmqio/a/"])
def test_any_other_payload_is_malformed(payload: bytes) -> None:
    subscriptions = NatsSubscriptions()
    subscriptions.add([ALL])
    with pytest.raises(TopicError):
        subscriptions.read(1, b"zmqio.a", payload)


def test_a_prefix_needs_a_complete_topic() -> None:
    subscriptions = NatsSubscriptions()
    subscriptions.add([PREFIX])
    with pytest.raises(TopicError):
        subscriptions.read(1, SUBJECT, PREFIX + b"no end")
