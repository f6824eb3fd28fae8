"""The subject of each topic: NATS routes by subjects, which are tokens with dots between them. Pure.

| topic (`zmqio.protocol.topic`) | subject |
|---|---|
| `zmqio/n/<namespace>\\0` | `zmqio.n.<namespace>` |
| `zmqio/r/<namespace>\\0<room>\\0` | `zmqio.r.<namespace>.<room>` |
| `zmqio/s/<sid>\\0<namespace>\\0` | `zmqio.s.<first 4 characters>.<16 characters>.<namespace>` |
| `zmqio/u/<node id>\\0` | `zmqio.u.<node id>` |
| `zmqio/a/\\0` | `zmqio.a` |
| `zmqio/s/<tag>`, a node's prefix for its sessions | `zmqio.s.<tag>.>` |

The connections have two subjects more, which are no topics: `zmqio.p.<number>` (`zmqio.nats.probes`) and
`zmqio.d.<number>.<node id>` (`zmqio.nats.inbox_check`).

A token has the UTF-8 bytes of a name: letters, digits and `-` as they are, every other byte as `=` and two
hexadecimal digits. The name `/` is the token `_`, and the empty name is `=`. Instead of a token of more than
`MAX_TOKEN_BYTES`, there is `=~` and the first 40 hexadecimal digits of the name's SHA-256. Different topics
therefore have different subjects.
"""

import hashlib
import re
from functools import lru_cache

from zmqio.exceptions import TopicError
from zmqio.ids import NODE_TAG_LENGTH

__all__ = ["MAX_TOKEN_BYTES", "is_prefix", "name_of", "subject_of", "subject_of_prefix", "token_of", "topic_of"]

MAX_TOKEN_BYTES = 200
"""The longest token. A server closes the connection at a line over 4,096 bytes (`max_control_line`)."""
KIND_ALL, KIND_SOCKET = b"a", b"s"
TAG_BYTES = NODE_TAG_LENGTH

_UNSAFE = re.compile(rb"[^A-Za-z0-9-]")
_ESCAPED = re.compile(rb"=([0-9A-F]{2})")


def token_of(name: bytes) -> bytes:
    """Return the token of a name."""
    if name == b"/":
        return b"_"
    token = _UNSAFE.sub(lambda found: b"=%02X" % found[0][0], name) or b"="
    if len(token) <= MAX_TOKEN_BYTES:
        return token
    return b"=~" + hashlib.sha256(name).hexdigest()[:40].encode()


def is_prefix(topic: bytes) -> bool:
    """Whether a subscription is the prefix of topics instead of one topic."""
    return not topic.endswith(b"\0")


@lru_cache(maxsize=16_384)
def subject_of(topic: bytes) -> bytes:
    """Return the subject of a topic."""
    prefix, kind, rest = topic.split(b"/", 2)
    if kind == KIND_ALL:
        return token_of(prefix) + b".a"
    names = rest.removesuffix(b"\0").split(b"\0")
    if kind == KIND_SOCKET:
        names = [names[0][:TAG_BYTES], names[0][TAG_BYTES:], *names[1:]]
    return b".".join((token_of(prefix), kind, *map(token_of, names)))


def subject_of_prefix(topic: bytes) -> bytes:
    """Return the subject, with a wildcard, of a node's prefix for its sessions.

    Raises:
        TopicError: it is another prefix, for which there is no subject.
    """
    prefix, kind, tag = topic.split(b"/", 2)
    if kind != KIND_SOCKET or len(tag) != TAG_BYTES:
        raise TopicError(f"no subject covers all topics that begin with {topic[:80]!r}")
    return b"%b.s.%b.>" % (token_of(prefix), token_of(tag))


def topic_of(subject: bytes) -> bytes:
    """Return the topic of a subject of a session, for a message that an outside publisher sent without a topic.

    Raises:
        TopicError: it is no such subject, or a name in it is a hash.
    """
    tokens = subject.split(b".")
    if len(tokens) != 5 or tokens[1] != KIND_SOCKET or any(token.startswith(b"=~") for token in tokens):
        raise TopicError(f"subject {subject[:80]!r} does not name a session and a namespace")
    prefix, tag, rest, namespace = (name_of(token) for token in (tokens[0], *tokens[2:]))
    return b"%b/s/%b%b\0%b\0" % (prefix, tag, rest, namespace)


def name_of(token: bytes) -> bytes:
    """Return the name of a token that is no hash."""
    if token == b"_":
        return b"/"
    return b"" if token == b"=" else _ESCAPED.sub(lambda found: bytes((int(found[1], 16),)), token)
