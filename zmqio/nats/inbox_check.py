"""The subjects whose replies show that nobody subscribes to a node's inbox any longer. Pure.

Every message to an inbox names a subject for replies, `zmqio.d.<number of this bus>.<node id>`. A server that
knows no subscription to the inbox replies on it at once. Then the node has died, or reconnects, or a route to its
server is broken.
"""

import secrets
from functools import lru_cache

from zmqio.protocol.nats import subscribe_command
from zmqio.protocol.nats_subject import name_of, subject_of, token_of
from zmqio.protocol.topic import TopicKind

__all__ = ["REPLIES_SID", "InboxCheck"]

REPLIES_SID = 0
"""The number of the subscription to replies. Subscriptions to topics have higher ones."""
INBOX = TopicKind.INBOX.value.encode()


class InboxCheck:
    """The replies to the messages of one bus.

    Args:
        prefix: first part of every topic.

    Attributes:
        subscribe: the command that subscribes to the replies.
        destination_of: returns the subject of a topic, for PUB; behind that of an inbox, there is the subject of
            replies. Cached.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode()
        self._replies = b"%b.d.%b." % (token_of(self._prefix), secrets.token_hex(12).encode())
        self.subscribe = subscribe_command(self._replies + b"*", REPLIES_SID)
        self.destination_of = lru_cache(maxsize=16_384)(self._destination_of)

    def inbox_of(self, reply: bytes) -> bytes:
        """Return the topic of the inbox to which nobody subscribes, from the subject of a reply."""
        return b"%b/u/%b\0" % (self._prefix, name_of(reply.removeprefix(self._replies)))

    def _destination_of(self, topic: bytes) -> bytes:
        subject = subject_of(topic)
        if topic.split(b"/", 2)[1] != INBOX:
            return subject
        return b"%b %b%b" % (subject, self._replies, subject.rpartition(b".")[2])
