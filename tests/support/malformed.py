"""Malformed data in every form that the wire protocols allow. Bounded in count and size; seeded."""

import asyncio
import contextlib
import random
from collections.abc import Iterator

import msgpack
import zmq

__all__ = [
    "ALL_TOPIC",
    "ROOM",
    "counted_malformed_messages",
    "foreign_versions",
    "malformed_bus_messages",
    "malformed_socketio_packets",
    "push",
    "random_bytes",
    "throw_bytes",
]

ALL_TOPIC = b"zmqio/a/\0"
NAMESPACE_TOPIC = b"zmqio/n//\0"
ROOM = "witnesses"
ROOM_TOPIC = b"zmqio/r//\0witnesses\0"
STRANGER = "StrangerStranger"
SEED = 20_260
# Greeting of ZMTP 3.0 with the NULL mechanism, rfc.zeromq.org/spec/23.
ZMTP_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)


def random_bytes(count: int, longest: int = 4_096) -> Iterator[bytes]:
    """Random pieces of 1 to `longest` bytes; every third looks like ZMTP or HTTP at first."""
    source = random.Random(SEED)
    starts = (b"", ZMTP_GREETING, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    for number in range(count):
        yield starts[number % 3] + source.randbytes(source.randint(1, longest))


async def throw_bytes(port: int, pieces: Iterator[bytes]) -> None:
    """Send each piece over its own connection, and close that without reading."""
    for piece in pieces:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            writer.write(piece)
            await writer.drain()
            writer.close()
            await writer.wait_closed()


def malformed_bus_messages() -> dict[str, list[bytes]]:
    """Malformed messages of one or more frames, keyed by the defect. They reach every subscribed node."""
    envelope = [1, 3, STRANGER, 1, None, "/", [], [], False, ['2["x"]']]
    return {
        "nothing": [b""],
        "bytes of a subscription": [b"\x01zmqio/r/"],
        "bytes of an acknowledgement": [b"\x01\xffsync-" + bytes(16)],
        "a forged acknowledgement": [b"\xffsync-" + bytes(16) + bytes(8)],
        "a topic alone": [ALL_TOPIC],
        "a topic without an end": [b"zmqio/n//"],
        "three frames": [ALL_TOPIC, b"a", b"b"],
        "random bytes": [ALL_TOPIC + random.Random(SEED).randbytes(300)],
        "another wire version": [ALL_TOPIC + msgpack.packb([99, *envelope[1:]])],
        "wire version as text": [ALL_TOPIC + msgpack.packb(["1", *envelope[1:]])],
        "an unknown type": [ALL_TOPIC + msgpack.packb([1, 250, STRANGER, 1, None])],
        "a stamp that cannot be": [ALL_TOPIC + msgpack.packb([1, 3, STRANGER, -1, "x", *envelope[5:]])],
        "half an envelope": [ALL_TOPIC + msgpack.packb(envelope)[:-4]],
        "an envelope too short": [ALL_TOPIC + msgpack.packb(envelope[:6])],
        "deep msgpack": [ALL_TOPIC + b"\x91" * 5_000],
        "malformed JSON": [NAMESPACE_TOPIC + b'{"event": "x", '],
        "deep JSON": [NAMESPACE_TOPIC + b'{"event":"x","args":' + b"[" * 20_000],
        "JSON that is no UTF-8": [NAMESPACE_TOPIC + b'{"event": "\xff\xfe"}'],
        "JSON of the wrong types": [NAMESPACE_TOPIC + b'{"event": 7, "rooms": "lobby"}'],
        "a room with a NUL": [NAMESPACE_TOPIC + b'{"event": "x", "rooms": ["a\\u0000b"]}'],
        "a namespace with a NUL": [NAMESPACE_TOPIC + msgpack.packb({"event": "x", "namespace": "/\0"})],
        "an unknown field": [NAMESPACE_TOPIC + msgpack.packb({"event": "x", "room": "lobby"})],
        "a reserved event": [NAMESPACE_TOPIC + b'{"event": "connect"}'],
        "a topic that does not cover": [ROOM_TOPIC + b'{"event": "x", "rooms": ["other"]}'],
    }


def counted_malformed_messages() -> list[list[bytes]]:
    """The malformed bus messages that reach every node with a member of `ROOM` and are counted there."""
    topics = (ALL_TOPIC, NAMESPACE_TOPIC, ROOM_TOPIC)
    return [
        frames for frames in malformed_bus_messages().values() if len(frames) == 1 and frames[0].startswith(topics)
    ]


def foreign_versions(count: int) -> list[list[bytes]]:
    """One message for each of `count` foreign wire versions, each from a different node."""
    return [
        [ALL_TOPIC + msgpack.packb([version, 3, f"{version:016}", 1, None])] for version in range(2, count + 2)
    ]


def malformed_socketio_packets() -> dict[str, str | bytes]:
    """Engine.IO messages (without the packet type 4) that are not valid Socket.IO packets."""
    return {
        "nothing": "",
        "an unknown type": "9",
        "a second CONNECT": "0",
        "an event that is no list": '2{"a":1}',
        "an event without a name": "2[]",
        "an event whose name is no text": "2[7]",
        "broken JSON": '2["x"',
        "deep JSON": "2" + "[" * 20_000,
        "an ack id out of any range": "2" + "9" * 400 + '["echo"]',
        "an acknowledgement that nobody waits for": "3777[1]",
        "attachments that never come": '5999999999-["echo",{"_placeholder":true,"num":0}]',
        "a placeholder of another attachment": '51-["echo",{"_placeholder":true,"num":7}]',
        "binary without a packet": b"\x00\x01",
        "an unknown namespace": '2/nowhere,["x"]',
        "a name with a NUL": '2["\\u0000"]',
    }


def push(endpoint: str, messages: list[list[bytes]], times: int, kind: int = zmq.PUSH, *, last: str) -> None:
    """Send every message `times` times from one socket, then a valid one: the event `last` to all clients."""
    with zmq.Context() as context, context.socket(kind) as socket:
        socket.setsockopt(zmq.LINGER, 20_000)
        socket.setsockopt(zmq.SNDTIMEO, 20_000)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.connect(endpoint)
        if kind == zmq.XPUB:
            socket.recv()  # the subscription of the broker: from now on the socket drops nothing
        for _ in range(times):
            for frames in messages:
                socket.send_multipart(frames)
        socket.send(NAMESPACE_TOPIC + msgpack.packb({"event": last}))
