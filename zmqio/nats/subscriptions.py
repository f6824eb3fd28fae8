"""The subscriptions of a node as NATS numbers them, and the topic of each message received. Does no I/O.

Every topic has its own number ("sid"). A node's prefix for its sessions covers topics that it may also subscribe
to one by one: those get no number, because a server delivers a message once for each subscription that matches.
"""

from collections.abc import Iterable, Sequence
from itertools import count

from zmqio.exceptions import TopicError
from zmqio.protocol.nats import subscribe_command, unsubscribe_command
from zmqio.protocol.nats_subject import is_prefix, subject_of, subject_of_prefix, topic_of
from zmqio.protocol.publish import BodyKind, classify
from zmqio.protocol.topic import split

__all__ = ["NatsSubscriptions"]


class NatsSubscriptions:
    """Counts subscriptions: one made twice must be cancelled twice. A prefix is never cancelled."""

    def __init__(self) -> None:
        self._uses: dict[bytes, int] = {}
        self._sids: dict[bytes, int] = {}
        self._topics: dict[int, tuple[bytes, int]] = {}
        self._prefixes: tuple[bytes, ...] = ()
        self._numbers = count(1)

    def add(self, topics: Iterable[bytes]) -> list[bytes]:
        """Add subscriptions; return the commands for those that are new."""
        commands = []
        for topic in topics:
            used = self._uses[topic] = self._uses.get(topic, 0) + 1
            if used == 1 and not topic.startswith(self._prefixes):
                commands.append(self._add(topic))
        return commands

    def remove(self, topics: Iterable[bytes]) -> list[bytes]:
        """Remove subscriptions; return the commands for those that have ended."""
        commands = []
        for topic in topics:
            used = self._uses[topic] = self._uses[topic] - 1
            if used == 0:
                del self._uses[topic]
                sid = self._sids.pop(topic, None)
                if sid is not None:
                    del self._topics[sid]
                    commands.append(unsubscribe_command(sid))
        return commands

    def commands(self) -> Sequence[bytes]:
        """Return the commands that make all subscriptions, for a new connection."""
        return [subscribe_command(_subject(topic), sid) for topic, sid in self._sids.items()]

    def read(self, sid: int, subject: bytes, payload: bytes) -> tuple[bytes, bytes] | None:
        """Return topic and body of a message; None if its subscription has ended.

        The payload of a node's message is `topic body`. An outside publisher may send the body alone; its subject
        then says the topic.

        Raises:
            TopicError: the payload is neither.
        """
        known = self._topics.get(sid)
        if known is None:
            return None
        topic, size = known
        if payload.startswith(topic):
            return (topic, payload[size:]) if size else split(payload)
        if classify(payload) is BodyKind.REQUEST:
            return (topic_of(subject) if is_prefix(topic) else topic), payload
        raise TopicError(f"the message on subject {subject[:80]!r} has another topic, {payload[:40]!r}")

    def _add(self, topic: bytes) -> bytes:
        if is_prefix(topic):
            self._prefixes += (topic,)
        sid = self._sids[topic] = next(self._numbers)
        self._topics[sid] = (topic, 0 if is_prefix(topic) else len(topic))
        return subscribe_command(_subject(topic), sid)


def _subject(topic: bytes) -> bytes:
    return subject_of_prefix(topic) if is_prefix(topic) else subject_of(topic)
