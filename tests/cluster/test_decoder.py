import json
import tracemalloc

import pytest
from structlog.testing import capture_logs

from zmqio.cluster.decoder import DuplicateFilter, MessageDecoder
from zmqio.cluster.diagnostics import Diagnostics
from zmqio.ids import NodeId
from zmqio.protocol.envelope import encode
from zmqio.protocol.messages import BroadcastMessage, Envelope, Goodbye, Heartbeat, Message, MessageId
from zmqio.protocol.publish import PublishRequest

ME, PEER = NodeId("tag1AAAAAAAAAAA"), NodeId("tag2BBBBBBBBBBB")
NEWS = b"zmqio/r//\0news\0"
ALL = b"zmqio/a/\0"
HEARTBEAT = Heartbeat(False, 1.0, False, "host", 1, 1)


class Setup:
    def __init__(self) -> None:
        self.now = 0.0
        self.diagnostics = Diagnostics(lambda: self.now)
        self.decoder = MessageDecoder(ME, self.diagnostics, lambda: self.now)

    @property
    def counters(self) -> dict[str, int]:
        return dict(self.diagnostics.counters)


@pytest.fixture
def setup() -> Setup:
    return Setup()


def broadcast(*rooms: str) -> BroadcastMessage:
    return BroadcastMessage("/", rooms, (), False, ("2[]",))


def body(message: Message, n: int = 1, node_id: NodeId = PEER, previous: int | None = 0) -> bytes:
    return encode(Envelope(MessageId(node_id, n, previous), message))


def request(**fields: object) -> bytes:
    return json.dumps({"event": "x", **fields}).encode()


def test_own_messages_are_recognized_without_decoding(setup: Setup) -> None:
    assert setup.decoder.is_own(body(broadcast("news"), node_id=ME))
    assert not setup.decoder.is_own(body(broadcast("news")))
    assert not setup.decoder.is_own(b"{..." + body(broadcast("news"), node_id=ME))
    assert not setup.decoder.is_own(b"")


def test_own_heartbeat_is_distinguished_from_other_own_messages(setup: Setup) -> None:
    assert setup.decoder.is_heartbeat(body(HEARTBEAT, node_id=ME))
    assert not setup.decoder.is_heartbeat(body(Goodbye("x"), node_id=ME))


def test_message_between_nodes_is_decoded(setup: Setup) -> None:
    received = setup.decoder.decode(NEWS, body(broadcast("news")))
    assert received == Envelope(MessageId(PEER, 1, 0), broadcast("news"))
    assert setup.counters == {}


@pytest.mark.parametrize(
    "malformed", [b"", b"\xc1", b"hello", b"\x91\x01", b"\x90", b"\x95\x01\x63\xa1n\x01\x00", b"\xdc"]
)
def test_malformed_message_is_counted_and_dropped(setup: Setup, malformed: bytes) -> None:
    assert setup.decoder.decode(NEWS, malformed) is None
    assert setup.counters == {"bus_message_malformed": 1}


def test_publish_request_is_decoded(setup: Setup) -> None:
    received = setup.decoder.decode(NEWS, request(rooms=["news"]))
    assert received == PublishRequest(event="x", rooms=("news",))
    assert setup.counters == {}


def test_publish_request_without_an_id_is_accepted_each_time(setup: Setup) -> None:
    assert [setup.decoder.decode(NEWS, request(rooms=["news"])) is not None for _ in range(2)] == [True, True]


@pytest.mark.parametrize("key", [{"id": "7"}, {"source": "shop", "n": 7}])
def test_publish_request_with_an_id_is_accepted_once_per_minute(setup: Setup, key: dict[str, object]) -> None:
    assert setup.decoder.decode(NEWS, request(rooms=["news"], **key)) is not None
    assert setup.decoder.decode(NEWS, request(rooms=["news"], **key)) is None
    setup.now = 60.0
    assert setup.decoder.decode(NEWS, request(rooms=["news"], **key)) is not None


@pytest.mark.parametrize(
    "wrong", [b"{", b'{"event": 1}', b'{"args": []}', b'{"event":"x","namespaces":"/"}', b"\x81\xa1"]
)
def test_invalid_publish_request_is_counted_logged_and_dropped(setup: Setup, wrong: bytes) -> None:
    with capture_logs() as lines:
        assert setup.decoder.decode(NEWS, wrong) is None
    assert setup.counters == {"publish_request_rejected": 1}
    assert lines[0]["reason"]


@pytest.mark.parametrize("rooms", [[], ["other"], ["news", "other"]])
def test_mismatched_topic_is_logged_and_the_body_is_accepted(setup: Setup, rooms: list[str]) -> None:
    with capture_logs() as lines:
        assert setup.decoder.decode(NEWS, body(broadcast(*rooms))) is not None
    assert setup.counters == {"message_topic_mismatched": 1}
    assert (lines[0]["event"], lines[0]["sender"]) == ("message_topic_mismatched", PEER)


def test_topic_of_a_publish_request_is_checked_too(setup: Setup) -> None:
    fields: dict[str, object] = {}
    assert setup.decoder.decode(NEWS, request(**fields)) is not None
    assert setup.counters == {"message_topic_mismatched": 1}


def test_node_of_another_version_is_logged_once_with_its_id(setup: Setup) -> None:
    foreign = b"\x96\x02\x01\xaf" + PEER.encode() + b"\x01\x00\xc0"
    with capture_logs() as lines:
        assert [setup.decoder.decode(b"zmqio/a/\0", foreign) for _ in range(3)] == [None] * 3
    assert setup.counters == {"version_mismatches": 3}
    assert [(line["event"], line["peer"], line["version"], line["supported"]) for line in lines] == [
        ("peer_version_mismatched", PEER, 2, 1)
    ]


def test_message_of_another_version_without_a_node_id_is_logged_as_unknown(setup: Setup) -> None:
    with capture_logs() as lines:
        setup.decoder.decode(b"zmqio/a/\0", b"\x95\x02\x01\x07\x01\x00")
    assert [line["peer"] for line in lines] == ["unknown"]


def test_id_is_new_once_while_it_is_remembered() -> None:
    ids = DuplicateFilter(keep_s=60)
    assert ids.is_new("x", 0)
    assert not ids.is_new("x", 59.9)
    assert ids.is_new("x", 60)
    assert ids.is_new(("source", 1), 60)


def test_oldest_id_is_forgotten_beyond_the_limit() -> None:
    ids = DuplicateFilter(limit=2, keep_s=60)
    assert [ids.is_new(name, 0) for name in "abc"] == [True, True, True]
    assert not ids.is_new("c", 1)
    assert not ids.is_new("b", 1)
    assert ids.is_new("a", 1)


def test_long_names_are_not_remembered(setup: Setup) -> None:
    tracemalloc.start()
    try:
        for number in range(200):
            long = f"{number}" + "x" * 100_000
            setup.decoder.decode(b"zmqio/n//\0", body(broadcast(long), number))
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
    finally:
        tracemalloc.stop()
    assert setup.counters == {}


def heartbeat(number: int = 1, node_id: NodeId = PEER) -> bytes:
    return body(HEARTBEAT, number, node_id, previous=None)


def test_repeated_heartbeat_is_decoded_once(setup: Setup) -> None:
    first, second = (setup.decoder.decode(ALL, heartbeat()) for _ in range(2))
    assert first == Envelope(MessageId(PEER, 1, None), HEARTBEAT)
    assert first is second


def test_heartbeat_with_another_number_is_decoded_separately(setup: Setup) -> None:
    received = [setup.decoder.decode(ALL, heartbeat(number)) for number in (1, 2, 1)]
    assert received == [Envelope(MessageId(PEER, number, None), HEARTBEAT) for number in (1, 2, 1)]


@pytest.mark.parametrize(
    "forged",
    [
        body(HEARTBEAT, previous=7),
        heartbeat()[:-1],
        # Packed unusually, so that it is not recognized as this node's own.
        heartbeat(node_id=ME).replace(bytes((0xA0 + len(ME),)), bytes((0xD9, len(ME)))),
    ],
)
def test_heartbeat_that_no_node_sends_is_counted_each_time(setup: Setup, forged: bytes) -> None:
    assert [setup.decoder.decode(ALL, forged) for _ in range(3)] == [None] * 3
    assert setup.counters == {"bus_message_malformed": 3}


def test_large_and_many_heartbeats_are_not_remembered(setup: Setup) -> None:
    large = Heartbeat(False, 1.0, False, "host", 1, 1, "x" * 100_000)
    tracemalloc.start()
    try:
        for number in range(5_000):
            setup.decoder.decode(ALL, heartbeat(number))
            if number < 200:
                setup.decoder.decode(ALL, body(large, number, previous=None))
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()
    assert setup.counters == {}
