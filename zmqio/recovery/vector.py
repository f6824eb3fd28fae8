"""A vector: for each node, the newest of its packets that a client has received. Pure.

A packet has up to two numbers. Its *log number* counts the packets in the log of the node that sent it. Its *bus
number* is the sequence number of the message that carried it to other nodes. A node knows its own packets by
log number, and those of other nodes by bus number. A vector therefore has keys of two kinds: `log_key(node_id)`,
and the node id itself for bus numbers.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import TypeAlias

import msgpack

from zmqio.ids import NodeId

__all__ = ["MAX_TEXT", "Vector", "decode_vector", "encode_vector", "latest", "log_key"]

Vector: TypeAlias = Mapping[str, int]
"""Key -> the highest number received. A missing key means that nothing was received."""

MAX_TEXT = 8_192
"""Longest text that is decoded: about 300 nodes. The text comes from a client."""
MAX_NUMBER = 2**63 - 1
MAX_KEY = 65


def log_key(node_id: NodeId) -> str:
    """The key of a node's log numbers."""
    return f"={node_id}"


def latest(first: Vector, second: Vector) -> dict[str, int]:
    """The highest number of each key: what both vectors together have received."""
    merged = dict(first)
    for key, number in second.items():
        if number > merged.get(key, -1):
            merged[key] = number
    return merged


def encode_vector(vector: Vector) -> str:
    """Encode a vector as URL-safe text, about 27 characters for each key."""
    packed: bytes = msgpack.packb(dict(vector))
    return urlsafe_b64encode(packed).decode("ascii").rstrip("=")


def decode_vector(text: str) -> dict[str, int] | None:
    """Decode a text of `encode_vector`; None if it is not one."""
    if len(text) > MAX_TEXT or not text.isascii():
        return None
    try:
        values = msgpack.unpackb(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, msgpack.UnpackException, RecursionError):
        return None
    if type(values) is not dict or not all(map(_is_entry, values.items())):
        return None
    return values


def _is_entry(entry: tuple[object, object]) -> bool:
    key, number = entry
    return type(key) is str and len(key) <= MAX_KEY and type(number) is int and 0 <= number <= MAX_NUMBER
