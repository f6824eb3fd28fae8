"""Fuzz targets for the pure decoders: packets, values, topics, requests, envelopes, ZMTP and request heads."""

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import httptools
from uvicorn.middleware.proxy_headers import _TrustedHosts
from zmqio_broker.control import ControlServer

from tests.fuzz.drive import FuzzTarget
from tests.fuzz.mutate import Parts
from tests.protocol.vectors import load
from zmqio.engine.handshake import check_transport, read_request
from zmqio.engine.packets import Prepared, decode_payload
from zmqio.exceptions import EnvelopeError, PacketError, PublishRequestError, TopicError, ZmtpError
from zmqio.launcher.routing.request_head import head_end, parse_head
from zmqio.protocol import envelope, topic
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.protocol.parser import JsonParser, Parser
from zmqio.protocol.publish import decode_request, encode_request
from zmqio.protocol.values import pack_values, unpack_values
from zmqio.protocol.zmtp import Conversation, SocketType, cancellation, frame, subscription
from zmqio.trusted_proxies import MAX_FORWARDED_ADDRESSES, TrustedProxies

__all__ = ["PURE_TARGETS"]

MAX_PACKETS = 1_000
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
PING = b"\x04\x07\x04PING\0\0"


def same(left: Any, right: Any) -> bool:
    """Whether two decoded values are equal, of the same types and in the same order."""
    return bool(left == right) and repr(left) == repr(right)


def chunks(data: bytes, rng: random.Random) -> list[bytes]:
    """Cut data at a few random places."""
    cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.choice((1, 3, 8))))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def whole(parts: Parts) -> bytes:
    """All parts as bytes, one after the other."""
    return b"".join(part.encode(errors="surrogatepass") if isinstance(part, str) else part for part in parts)


def run_engineio(parts: Parts) -> bool:
    try:
        packets = list(decode_payload(whole(parts).decode(), MAX_PACKETS))
    except (PacketError, UnicodeDecodeError):
        return False
    again = list(decode_payload(Prepared(packets).polling.decode(), MAX_PACKETS))
    assert same(again, packets)
    return True


def run_parser(parser: Parser, parts: Parts) -> bool:
    if not all(isinstance(part, bytes) or is_utf8(part) for part in parts):
        return False  # no transport delivers such a text
    decoder, packets = parser.decoder(), []
    try:
        for part in parts:
            packet = decoder.add(part)
            if packet is not None:
                packets.append(packet)
    except PacketError:
        return False
    for packet in packets:
        again = None
        fresh = parser.decoder()
        for part in parser.encode(packet):
            assert again is None
            again = fresh.add(part)
        assert same(again, packet), f"{packet!r:.300} became {again!r:.300}"
    return True


def is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def run_values(parts: Parts) -> bool:
    try:
        value = unpack_values(whole(parts))
    except EnvelopeError:
        return False
    try:
        packed = pack_values(value)
    except PacketError:
        return False
    assert same(pack_values(unpack_values(packed)), packed)
    return True


def run_topic(parts: Parts) -> bool:
    data = whole(parts)
    try:
        head, body = topic.split(data)
        assert head + body == data
    except TopicError:
        head = data
    try:
        parsed = topic.parse(head)
    except TopicError:
        return False
    topic.covers(head, parsed.namespace or "/", [parsed.room] if parsed.room is not None else [])
    return True


def run_publish(parts: Parts) -> bool:
    try:
        request = decode_request(whole(parts))
    except PublishRequestError:
        return False
    again = decode_request(encode_request(request))
    assert same(again, request), f"{request!r:.300} became {again!r:.300}"
    return True


def run_envelope(parts: Parts) -> bool:
    body = whole(parts)
    peeked = envelope.peek_message_id(body)
    try:
        decoded = envelope.decode(body)
    except EnvelopeError:
        return False
    again = envelope.decode(envelope.encode(decoded))
    assert same(again, decoded)
    if peeked is not None:
        assert peeked == (decoded.id.node_id.encode(), decoded.id.n)
    return True


def run_zmtp(kind: SocketType, parts: Parts) -> bool:
    data = whole(parts)
    rng = random.Random(len(data))
    all_at_once, in_chunks = feed_zmtp(kind, [data]), feed_zmtp(kind, chunks(data, rng))
    assert (all_at_once is None) == (in_chunks is None)
    assert all_at_once == in_chunks
    return all_at_once is not None


def feed_zmtp(kind: SocketType, pieces: Sequence[bytes]) -> tuple[list[Any], bytes, bool] | None:
    """Messages, answers, and whether the handshake is complete; None after an error."""
    conversation, messages, answers = Conversation(kind), list[Any](), b""
    try:
        for piece in pieces:
            messages += conversation.feed(piece)
            answers += conversation.take_answers()
    except ZmtpError:
        return None
    return messages, answers, conversation.is_ready


def run_control(parts: Parts) -> bool:
    server = ControlServer(None, {"hello": dict, "statistics": dict})  # type: ignore[arg-type]
    answer = server.answer([part if isinstance(part, bytes) else part.encode() for part in parts])
    assert answer
    return server.answered == 1


def run_head(parts: Parts) -> bool:
    data = whole(parts)
    end = head_end(data, len(data))
    assert end == head_end_in_chunks(data)
    head = parse_head(data[: end or len(data)])
    assert head.sid is None or head.sid
    target = target_of(data[:end]) if end else None
    if target is not None:
        scope = {"path": "/", "headers": [], "query_string": httptools.parse_url(target).query or b""}
        assert head.sid == (read_request(scope).parameters.get("sid") or None)
    return end is not None


def head_end_in_chunks(data: bytes) -> int | None:
    seen = 0
    for size in (*range(0, len(data), max(1, len(data) // 5)), len(data)):
        end = head_end(data, size, seen)
        if end is not None:
            return end
        seen = size
    return None


def target_of(head: bytes) -> bytes | None:
    """The request target as the worker's parser reads it; None if it rejects the request."""
    targets: list[bytes] = []
    complete: list[bool] = []

    class Listener:
        def on_url(self, url: bytes) -> None:
            targets.append(url)

        def on_headers_complete(self) -> None:
            complete.append(True)

    try:
        parser = httptools.HttpRequestParser(Listener())
        parser.feed_data(head)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        if not complete:
            return None
    return targets[0] if len(complete) == 1 and len(targets) == 1 and is_url(targets[0]) else None


def is_url(target: bytes) -> bool:
    try:
        httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return False
    return True


TRUSTED = "127.0.0.1,::1,10.0.0.0/8"


def run_forwarded(parts: Parts) -> bool:
    value = whole(parts).decode("latin-1")
    address = TrustedProxies(TRUSTED).client_address("127.0.0.1", [value])
    assert address is None or len(address) < 60
    entries = [entry.strip() for entry in value.split(",")]
    is_short = len(entries) <= MAX_FORWARDED_ADDRESSES  # the worker rejects more
    if is_short and all(re.fullmatch(r"\d{1,2}\.\d{1,2}\.\d{1,2}\.\d{1,2}", entry) for entry in entries):
        host = _TrustedHosts(TRUSTED).get_trusted_client_address(value)[0]
        assert host == address or not plain(entries)
    return address != "127.0.0.1"


def plain(entries: Sequence[str]) -> bool:
    """Whether no number has a leading zero, which one of the two readers may refuse."""
    return not any(re.search(r"(?:^|\.)0\d", entry) for entry in entries)


def run_query(parts: Parts) -> bool:
    scope = {
        "path": "/socket.io/",
        "query_string": whole(parts),
        "headers": [(b"X-A", part if isinstance(part, bytes) else whole([part])) for part in parts],
    }
    request = read_request(scope)
    assert len(request.parameters) <= len(request.query) + 1
    return check_transport(request.parameters, ("polling", "websocket")) is None


def packets_as(form: Callable[[dict[str, Any]], Parts]) -> list[Parts]:
    return [form(vector) for vector in load("packets")]


def zmtp_seeds(peer: bytes) -> list[Parts]:
    ready = b"\x05READY\x0bSocket-Type" + len(peer).to_bytes(4, "big") + peer
    opening = GREETING + bytes((4, len(ready))) + ready
    two_frames = b"\x01\x03abc\x00\x02de"
    large = frame(b"x" * 300)
    return [
        [opening],
        [opening + subscription(b"zmqio/a/\0") + cancellation(b"zmqio/a/\0")],
        [opening + PING + two_frames + large + frame(b"")],
        [opening, PING[:-2] + b"\0\0", b"\x04\x09\x04PING\0\0ab", large],
    ]


HEADS = [
    b"GET /socket.io/?EIO=4&transport=polling&sid=abcdABCDEFGHIJKLMNOP HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /?EIO=4&transport=polling&%73id=a%20b&sid=c HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n4a",
    b"GET /?sid=a HTTP/1.1\r\nHost:x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Forwarded-For: ::1\r\n\r\n",
    b"\r\nGET http://host:80/socket.io/?sid=a#b HTTP/1.0\nx-forwarded-for:a\nX-FORWARDED-FOR : b\n\n",
]
ENVELOPES: list[Parts] = [[vector["body"]] for vector in load("envelopes")]
CONTROL: list[Parts] = [
    [b"\x81\xa2op\xa5hello"],
    [b"", b"\x82\xa2op\xaastatistics\xa7version\x01"],
    [b"\x82\xa2op\xa5hello\xa2id\x91\x01"],
]

PURE_TARGETS: dict[str, FuzzTarget] = {
    "control": FuzzTarget(CONTROL, run_control),
    "engineio_payload": FuzzTarget(
        [["4hello"], ["2probe"], ["4a\x1ebAQIDBA==\x1e3"], ["b"], ['40\x1e42["x",1]\x1e6']], run_engineio
    ),
    "envelope": FuzzTarget(ENVELOPES, run_envelope),
    "forwarded_for": FuzzTarget(
        [["1.2.3.4"], ["1.2.3.4, 10.0.0.1"], ["[2001:db8::1]:80, ::1,9.9.9.9:80"]], run_forwarded
    ),
    "json_parser": FuzzTarget(packets_as(lambda v: list(v["frames"])), lambda p: run_parser(JsonParser(), p)),
    "msgpack_parser": FuzzTarget(packets_as(lambda v: [v["msgpack"]]), lambda p: run_parser(MsgpackParser(), p)),
    "publish": FuzzTarget(
        [
            [vector[form]]
            for vector in load("publish_requests")
            for form in ("msgpack", "json")
            if vector[form] is not None
        ],
        run_publish,
    ),
    "query": FuzzTarget([["EIO=4&transport=polling&sid=a"], ["EIO=4&transport=websocket&t=%41"]], run_query),
    "request_head": FuzzTarget([[head] for head in HEADS], run_head),
    "topic": FuzzTarget([[vector["topic"]] for vector in load("topics")], run_topic),
    "values": FuzzTarget(
        [[pack_values(value)] for value in ([1, "a", b"b", None], {"a": [2**70, 1.5]})], run_values
    ),
    "zmtp_dealer": FuzzTarget(zmtp_seeds(b"ROUTER"), lambda p: run_zmtp(SocketType.DEALER, p)),
    "zmtp_pub": FuzzTarget(zmtp_seeds(b"XSUB"), lambda p: run_zmtp(SocketType.PUB, p)),
    "zmtp_sub": FuzzTarget(zmtp_seeds(b"XPUB"), lambda p: run_zmtp(SocketType.SUB, p)),
}
"""Name -> target."""
