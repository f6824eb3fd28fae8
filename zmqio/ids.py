"""Ids of sessions and nodes: their types, format and generation.

Every session id names its owner: 4 characters of node tag followed by 16 random characters (96 bits). A balancer
can therefore route by `sid` without a table, and a message to one socket is sent only to the node that owns it.

Source: an Engine.IO id usually has 20 URL-safe characters (engine.io's `base64id`).
"""

import base64
import os
import re
import secrets
from typing import NewType

__all__ = [
    "NODE_TAG_LENGTH",
    "SID_LENGTH",
    "EngineSid",
    "NodeId",
    "NodeTag",
    "Sid",
    "is_sid_shaped",
    "make_engine_sid",
    "make_node_id",
    "make_node_tag",
    "make_sid",
    "parse_node_tag",
    "tag_of",
]

Sid = NewType("Sid", str)
"""The id of a Socket.IO socket: one client in one namespace."""
EngineSid = NewType("EngineSid", str)
"""The id of an Engine.IO session: one connection, on any transport."""
NodeId = NewType("NodeId", str)
"""The id of one run of a node: its tag and 11 random characters (64 bits)."""
NodeTag = NewType("NodeTag", str)
"""The first 4 characters of every id that a node generates."""

NODE_TAG_LENGTH = 4
SID_LENGTH = 20

_SID_SHAPE = re.compile(r"[A-Za-z0-9_-]{20}")
_TAG_SHAPE = re.compile(r"[A-Za-z0-9_-]{4}")


def make_node_tag() -> NodeTag:
    """Return a random node tag of 24 bits. Two nodes may draw the same tag; this is resolved when they connect."""
    return NodeTag(secrets.token_urlsafe(3))


def parse_node_tag(text: str) -> NodeTag:
    """Check a configured node tag.

    Raises:
        ValueError: `text` does not consist of exactly 4 characters of A-Z a-z 0-9 _ -.
    """
    if not _TAG_SHAPE.fullmatch(text):
        raise ValueError(f"node tag {text!r} must be exactly 4 characters of A-Z a-z 0-9 _ -")
    return NodeTag(text)


def make_node_id(tag: NodeTag) -> NodeId:
    """Generate the id of one run of a node: its tag and 8 random bytes as 11 URL-safe characters."""
    return NodeId(tag + secrets.token_urlsafe(8))


def make_sid(tag: NodeTag) -> Sid:
    """Generate a Socket.IO id that names `tag` as its owner."""
    return Sid(tag + _random_characters())


def make_engine_sid(tag: NodeTag) -> EngineSid:
    """Generate an Engine.IO id that names `tag` as its owner."""
    return EngineSid(tag + _random_characters())


def is_sid_shaped(name: str) -> bool:
    """Whether `name` has the format of a session id: exactly 20 URL-safe characters."""
    return len(name) == SID_LENGTH and _SID_SHAPE.fullmatch(name) is not None


def tag_of(sid: str) -> NodeTag:
    """Return the node tag in a session id; meaningless for other strings."""
    return NodeTag(sid[:NODE_TAG_LENGTH])


def _random_characters() -> str:
    return base64.urlsafe_b64encode(os.urandom(12)).decode("ascii")
