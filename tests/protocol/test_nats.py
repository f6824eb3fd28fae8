"""Tests of `zmqio.protocol.nats`."""

import contextlib
import json
import pickle
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.exceptions import NatsError
from zmqio.protocol.nats import (
    MAX_HEADERS,
    MAX_LINE_BYTES,
    NatsFault,
    NatsInfo,
    NatsParser,
    NatsSignal,
    connect_command,
    publish_command,
    subscribe_command,
    unsubscribe_command,
)

LIMIT = 1 << 20
STREAM = (
    b'INFO {"server_id":"A","version":"2.15.1","max_payload":100} \r\n'
    b"+OK\r\nMSG a.b 7 5\r\nhello\r\nping\r\nPONG\r\nMSG a 12 reply.to 0\r\n\r\n-ERR 'Slow Consumer'\r\n"
    b"HMSG a.b 7 12 17\r\nNATS/1.0\r\n\r\nhello\r\nHMSG r.n 0 to 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"
    b"MSG x 1 6\r\n\r\nMSG\r\n\r\n"
)
EVENTS = [
    NatsInfo("A", (2, 15, 1), 100),
    (7, b"a.b", b"hello"),
    NatsSignal.PING,
    NatsSignal.PONG,
    (12, b"a", b""),
    NatsFault("Slow Consumer"),
    (7, b"a.b", b"hello"),
    (0, b"r.n", b""),
    (1, b"x", b"\r\nMSG\r"),
]


def test_commands_are_the_text_of_the_protocol() -> None:
    assert publish_command(b"a.b", b"hello") == b"PUB a.b 5\r\nhello\r\n"
    assert subscribe_command(b"a.>", 7) == b"SUB a.> 7\r\n"
    assert unsubscribe_command(7) == b"UNSUB 7\r\n"


@pytest.mark.parametrize("headers", [True, False])
def test_connect_asks_for_echoes_and_for_headers_if_they_are_supported(headers: bool) -> None:
    command = connect_command({"name": "n", "user": "u"}, headers=headers)
    assert command.startswith(b"CONNECT {") and command.endswith(b"}\r\n")
    options = json.loads(command[8:])
    assert options == {
        "verbose": False,
        "pedantic": False,
        "echo": True,
        "headers": headers,
        "no_responders": headers,
        "protocol": 1,
        "lang": "zmqio",
        "name": "n",
        "user": "u",
    }


def test_stream_is_split_into_events() -> None:
    stream = STREAM.replace(b"MSG x 1 6\r\n\r\nMSG\r\n", b"MSG x 1 6\r\n\r\nMSG\r")
    assert list(NatsParser(LIMIT).feed(stream)) == EVENTS


@given(st.lists(st.integers(0, 300), max_size=30))
def test_any_split_of_the_stream_gives_the_same_events(cuts: list[int]) -> None:
    stream = STREAM.replace(b"MSG x 1 6\r\n\r\nMSG\r\n", b"MSG x 1 6\r\n\r\nMSG\r")
    parser, events = NatsParser(LIMIT), []
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for start, end in pairwise(places):
        events += parser.feed(stream[start:end])
    assert events == EVENTS


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 64))
def test_payloads_of_any_bytes_arrive_unchanged(payloads: list[bytes], piece: int) -> None:
    stream = b"".join(b"MSG s 1 %d\r\n%b\r\n" % (len(payload), payload) for payload in payloads)
    parser, found = NatsParser(LIMIT), []
    for start in range(0, len(stream), piece):
        found += [event[2] for event in parser.feed(stream[start : start + piece])]  # type: ignore[index]
    assert found == payloads


@given(st.binary(max_size=200))
def test_anything_else_is_an_error_and_nothing_worse(data: bytes) -> None:
    with contextlib.suppress(NatsError):
        NatsParser(LIMIT).feed(data)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"MSG a 1\r\n",
        b"MSG a x 1\r\n",
        b"MSG a 1 -1\r\n",
        b"MSG a 1 b c 1\r\nx\r\n",
        b"MSG a 1 101\r\n",
        b"MSG a 1 2\r\nabc\r\n",
        b"HMSG a 1 2\r\nab\r\n",
        b"HMSG a 1 3 2\r\nab\r\n",
        b"HMSG a 1 -1 2\r\nab\r\n",
        b"HMSG\r\n",
        b"HMSG a 1 b c 1 1\r\nx\r\n",
        b"INFO [1]\r\n",
        b"INFO {\r\n",
        b"INFO " + b"[" * 100_000 + b"\r\n",
        b"x" * (MAX_LINE_BYTES + 1),
    ],
)
def test_malformed_data_is_refused(data: bytes) -> None:
    with pytest.raises(NatsError):
        NatsParser(100).feed(data)


def test_info_of_a_cluster_names_its_servers() -> None:
    fields = {
        "server_id": "A",
        "version": "2.12.10-rc.1",
        "cluster": "c",
        "connect_urls": ["a:1", 5, "b:2"],
        "nonce": "n",
        "tls_required": True,
        "ldm": True,
        "max_payload": "large",
    }
    assert list(NatsParser(LIMIT).feed(b"INFO " + json.dumps(fields).encode() + b"\r\n")) == [
        NatsInfo("A", (2, 12, 10), 1 << 20, "c", ("a:1", "b:2"), "n", True, True)
    ]


def test_unreadable_version_is_none() -> None:
    (info,) = NatsParser(LIMIT).feed(b'INFO {"version":"dev","connect_urls":7}\r\n')
    assert info == NatsInfo("")


def test_many_different_headers_are_read_and_do_not_pile_up() -> None:
    parser = NatsParser(1 << 20)
    for sid in range(3 * MAX_HEADERS):
        for _ in range(2):
            assert parser.feed(b"MSG a %d 2\r\nhi\r\n" % sid) == [(sid, b"a", b"hi")]
    assert len(pickle.dumps(parser)) < 100 * MAX_HEADERS
