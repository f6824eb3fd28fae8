"""Ids: their types, their shape, and how they are made.

Every session id names its owner: 4 characters of node tag, then 16 random ones (96 bits). A balancer can
therefore route on `sid` without a table, and a send to one socket goes straight to the node that holds it.

Source: the usual shape of an Engine.IO id is 20 URL-safe characters (engine.io `base64id`).
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
"""A Socket.IO id: one client in one namespace."""
EngineSid = NewType("EngineSid", str)
"""An Engine.IO id: one connection, whatever its transport."""
NodeId = NewType("NodeId", str)
"""One run of one process: its tag and 11 random characters (64 bits)."""
NodeTag = NewType("NodeTag", str)
"""The first 4 characters of every id that a node makes."""

NODE_TAG_LENGTH = 4
SID_LENGTH = 20

_SID_SHAPE = re.compile(r"[A-Za-z0-9_-]{20}")
_TAG_SHAPE = re.compile(r"[A-Za-z0-9_-]{4}")


def make_node_tag() -> NodeTag:
    """Draw a random node tag: 24 bits, so a clash is possible and is settled when nodes meet."""
    return NodeTag(secrets.token_urlsafe(3))


def parse_node_tag(text: str) -> NodeTag:
    """Check a configured node tag.

    Raises:
        ValueError: `text` is not exactly 4 characters of A-Z a-z 0-9 _ -.
    """
    if not _TAG_SHAPE.fullmatch(text):
        raise ValueError(f"node tag {text!r} has to be exactly 4 characters of A-Z a-z 0-9 _ -")
    return NodeTag(text)


def make_node_id(tag: NodeTag) -> NodeId:
    """Make the id of this run of this process: the tag and 8 random bytes as 11 URL-safe characters."""
    return NodeId(tag + secrets.token_urlsafe(8))


def make_sid(tag: NodeTag) -> Sid:
    """Make a Socket.IO id that names `tag` as its owner."""
    return Sid(tag + _random_16())


def make_engine_sid(tag: NodeTag) -> EngineSid:
    """Make an Engine.IO id that names `tag` as its owner."""
    return EngineSid(tag + _random_16())


def is_sid_shaped(name: str) -> bool:
    """Whether `name` looks like a session id: exactly 20 URL-safe characters."""
    return len(name) == SID_LENGTH and _SID_SHAPE.fullmatch(name) is not None


def tag_of(sid: str) -> NodeTag:
    """The node tag that a session id names; meaningless for other strings."""
    return NodeTag(sid[:NODE_TAG_LENGTH])


def _random_16() -> str:
    return base64.urlsafe_b64encode(os.urandom(12)).decode("ascii")
