"""A small node that was written from docs/wire-protocol.md alone: ZeroMQ and msgpack, nothing of zmqio.

It shows that the page is complete: it joins, answers requests, publishes, replays what others missed, requests
what it missed, and leaves. It has one socket, `SID`, in the room `lobby` of the namespace `/`.
"""

import hashlib
import os
import queue
import secrets
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from types import TracebackType
from typing import Any, Self

import msgpack
import zmq

from tests.support.timing import LIMIT_S

__all__ = ["SID", "Kind", "PlainNode"]

SID = "plai" + "x" * 16
HEARTBEAT_S = 1.0
POLL_MS = 10


class Kind(IntEnum):
    """The types of messages that this node knows."""

    HEARTBEAT = 1
    GOODBYE = 2
    ACKED_BROADCAST = 4
    SERVER_SIDE_EMIT = 8
    FETCH_SOCKETS = 9
    FETCH_ROOMS = 10
    RESPONSE = 11
    ACK_COUNT = 12
    ACK_RESPONSE = 13
    REPLAY_REQUEST = 14
    REPLAY_ANSWER = 15
    SESSION_REQUEST = 16
    MISSED_PACKETS_REQUEST = 17


class PlainNode:
    """One node, in a thread of its own; for `with`.

    Args:
        address: of a broker on tcp, without keys.
        prefix: of all topics.

    Attributes:
        node_id: its id.
        received: (type, node id, n, fields) of the messages of other nodes, in order.
        echoed: how many of its own heartbeats and goodbyes have come back.
    """

    def __init__(self, address: str, prefix: str) -> None:
        self.node_id = "plai" + secrets.token_urlsafe(8)
        self.received: list[tuple[int, str, int, list[Any]]] = []
        self.echoed = 0
        self._prefix = prefix
        self._host, port = address.rsplit(":", 1)
        self._port = int(port)
        self._started_at = time.time()
        self._n = 0
        self._known: set[str] = set()
        self._last: dict[bytes, int] = {}
        self._sent: list[tuple[bytes, bytes, float]] = []
        self._actions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(LIMIT_S)

    # For tests.

    def publish(self, kind: int, *fields: Any, topic: bytes, lose: bool = False) -> None:
        """Publish a sequenced message; with `lose`, number and keep it only, as if the broker had dropped it."""
        self._actions.put(lambda: self._publish(topic, kind, *fields, lose=lose))

    def request_replay(self, node_id: str, after: int, topics: bytes = b"") -> None:
        """Request a node's messages after a number again."""
        fields = (1, after, 3600.0, topics, False)
        self._actions.put(lambda: self._send_unsequenced(self._inbox(node_id), Kind.REPLAY_REQUEST, *fields))

    def leave(self) -> None:
        """Say goodbye."""
        self._actions.put(lambda: self._send_unsequenced(self.topic("a"), Kind.GOODBYE, "test"))

    def topic(self, kind: str, *names: str) -> bytes:
        """A topic."""
        return f"{self._prefix}/{kind}/".encode() + b"".join(name.encode() + b"\0" for name in names or ("",))

    # The thread.

    def _run(self) -> None:
        with zmq.Context() as context, context.socket(zmq.XPUB) as out, context.socket(zmq.SUB) as into:
            self._out, self._into = out, into
            out.linger = 1000
            out.rcvtimeo = into.rcvtimeo = int(LIMIT_S * 1000)
            out.connect(f"{self._host}:{self._port + 1}")
            into.connect(f"{self._host}:{self._port + 2}")
            self._make_ready()
            next_heartbeat = 0.0
            while not self._stopped.is_set():
                if time.monotonic() >= next_heartbeat:
                    self._send_heartbeat(self.topic("a"), hello=not next_heartbeat)
                    next_heartbeat = time.monotonic() + HEARTBEAT_S
                if into.poll(POLL_MS):
                    self._frame_received(into.recv())
                while not self._actions.empty():
                    self._actions.get()()

    def _make_ready(self) -> None:
        """Subscribe, and wait for the broker's subscription to everything and for the barrier."""
        notices = b"\xffgone-" + f"{self._prefix}/u/".encode()
        sessions = f"{self._prefix}/s/plai".encode()
        namespace, lobby = self.topic("n", "/"), self.topic("r", "/", "lobby")
        sync = b"\xffsync-" + secrets.token_bytes(16)
        for topic in (self.topic("a"), self._inbox(self.node_id), sessions, notices, namespace, lobby, sync):
            self._into.subscribe(topic)
        while self._out.recv() != b"\x01":
            pass
        while not self._into.recv().startswith(sync):
            pass
        self._into.unsubscribe(sync)

    def _frame_received(self, frame: bytes) -> None:
        topic, body = self._split(frame)
        if frame.startswith(b"\xff") or body[:1] == b"{" or body[0] & 0xF0 == 0x80:
            return  # a notice of the broker; a request of an outside sender
        version, kind, node_id, n, _, *fields = msgpack.unpackb(body)
        if version != 1:
            return
        if node_id == self.node_id:
            self.echoed += kind in (Kind.HEARTBEAT, Kind.GOODBYE)
            return
        if kind == Kind.HEARTBEAT:
            if fields[0] or (node_id not in self._known and topic == self.topic("a")):
                self._send_heartbeat(self._inbox(node_id))
            self._known.add(node_id)
        self.received.append((kind, node_id, n, fields))
        self._answer(kind, self._inbox(node_id), fields)

    def _answer(self, kind: int, inbox: bytes, fields: list[Any]) -> None:
        match kind, fields:
            case Kind.ACKED_BROADCAST, [request, _, _, _, _, _]:
                self._publish(inbox, Kind.ACK_COUNT, request, 1)
                self._publish(inbox, Kind.ACK_RESPONSE, request, msgpack.packb(["plain"]))
            case Kind.SERVER_SIDE_EMIT, [_, args, request] if request is not None:
                self._respond(inbox, request, [["plain", *msgpack.unpackb(args)]])
            case Kind.FETCH_SOCKETS, [request, *_]:
                handshake = {
                    "headers": {},
                    "query": {},
                    "auth": {},
                    "address": "",
                    "secure": False,
                    "time": 0.0,
                    "url": "/",
                }
                self._respond(inbox, request, [[SID, handshake, [SID, "lobby"], {"from": "plain"}, self.node_id]])
            case Kind.FETCH_ROOMS, [request, _]:
                self._respond(inbox, request, ["lobby", SID])
            case ((16 | 17), [request, _]):
                self._respond(inbox, request, [])
            case Kind.REPLAY_REQUEST, [request, after, _, topics, *_]:
                self._replay(inbox, request, after, topics)

    def _respond(self, inbox: bytes, request: int, rows: list[Any]) -> None:
        self._publish(inbox, Kind.RESPONSE, request, msgpack.packb(rows), True)

    def _replay(self, inbox: bytes, request: int, after: int, topics: bytes) -> None:
        now = time.monotonic()
        rows = [
            [topic, body, now - at]
            for topic, body, at in self._sent[after:]
            if topic in (inbox, self.topic("a")) or is_in_filter(topics, topic)
        ]
        self._send_unsequenced(inbox, Kind.REPLAY_ANSWER, request, self._n, True, 0, [], rows)

    def _publish(self, topic: bytes, kind: int, *fields: Any, lose: bool = False) -> None:
        self._n += 1
        body = msgpack.packb([1, kind, self.node_id, self._n, self._last.get(topic, 0), *fields])
        self._last[topic] = self._n
        self._sent.append((topic, body, time.monotonic()))
        if not lose:
            self._out.send(topic + body)

    def _send_unsequenced(self, topic: bytes, kind: int, *fields: Any) -> None:
        self._out.send(topic + msgpack.packb([1, kind, self.node_id, self._n, None, *fields]))

    def _send_heartbeat(self, topic: bytes, *, hello: bool = False) -> None:
        self._send_unsequenced(topic, Kind.HEARTBEAT, hello, self._started_at, False, "plain-host", os.getpid(), 1)

    def _inbox(self, node_id: str) -> bytes:
        return self.topic("u", node_id)

    def _split(self, frame: bytes) -> tuple[bytes, bytes]:
        _, kind, _ = frame.split(b"/", 2) if not frame.startswith(b"\xff") else (b"", b"", b"")
        end = frame.find(b"\0")
        if kind in (b"r", b"s"):
            end = frame.find(b"\0", end + 1)
        return frame[: end + 1], frame[end + 1 :]


def is_in_filter(bits: bytes, topic: bytes) -> bool:
    """Whether a Bloom filter contains a topic."""
    digest = hashlib.blake2b(topic, digest_size=8).digest()
    a, b = int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little") | 1
    size = len(bits) * 8
    return size > 0 and all(bits[at // 8] >> at % 8 & 1 for at in ((a + i * b) % size for i in range(4)))
