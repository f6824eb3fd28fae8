"""A set of topics in few bytes, to send along: a Bloom filter. Pure.

A topic that was put in is always found; another one is found about once in a hundred times, and whoever gets a
message too many for it drops that. Twelve bits a topic, so 5,000 topics take 7.5 KB.

The bytes: a bit array, least significant bit of the first byte first. The positions of a topic are
`(a + i * b) mod bits` for i from 0 to 3, where a and b are the two little-endian 32-bit halves of the topic's
BLAKE2b digest of 8 bytes, b made odd.

Source: https://en.wikipedia.org/wiki/Bloom_filter; Kirsch and Mitzenmacher, "Less hashing, same performance"
(2006).
"""

from collections.abc import Collection, Iterator
from hashlib import blake2b

__all__ = ["GrowingBloomFilter", "TopicBloomFilter", "make_filter"]

BITS_PER_TOPIC = 12
POSITIONS = 4
SMALLEST_BYTES = 8
TOPICS_REMEMBERED = 10_000


def make_filter(topics: Collection[bytes]) -> bytes:
    """Make a filter of topics; about 2 us a topic."""
    bits = bytearray(max(SMALLEST_BYTES, len(topics) * BITS_PER_TOPIC // 8))
    for topic in topics:
        _put(bits, topic)
    return bytes(bits)


class GrowingBloomFilter:
    """A filter of topics that come and go, without making all of it anew for each: 2 us for one that comes.

    Made with room for as many again. A topic that goes stays in it until it is made anew, so that a few more
    topics than wanted are found.
    """

    def __init__(self, topics: Collection[bytes]) -> None:
        self._bits = bytearray(max(SMALLEST_BYTES, 2 * len(topics) * BITS_PER_TOPIC // 8))
        self._room = len(self._bits) * 8 // BITS_PER_TOPIC
        for topic in topics:
            self.add(topic)

    @property
    def is_full(self) -> bool:
        """Whether it is time for a new one."""
        return self._room <= 0

    def add(self, topic: bytes) -> None:
        """Put a topic in."""
        self._room -= 1
        _put(self._bits, topic)

    def to_bytes(self) -> bytes:
        """As `make_filter` would make it."""
        return bytes(self._bits)


class TopicBloomFilter:
    """Looks topics up in a filter; the answer for a topic is remembered, for few topics make most of the messages.

    Args:
        bits: what `make_filter` made; nothing is in an empty one.
    """

    def __init__(self, bits: bytes) -> None:
        self._bits = bits
        self._known: dict[bytes, bool] = {}

    def __contains__(self, topic: bytes) -> bool:
        found = self._known.get(topic)
        if found is None:
            if len(self._known) >= TOPICS_REMEMBERED:
                self._known.clear()
            found = self._known[topic] = self._look_up(topic)
        return found

    def _look_up(self, topic: bytes) -> bool:
        bits, size = self._bits, len(self._bits) * 8
        return size > 0 and all(bits[at >> 3] >> (at & 7) & 1 for at in _positions(topic, size))


def _put(bits: bytearray, topic: bytes) -> None:
    for position in _positions(topic, len(bits) * 8):
        bits[position >> 3] |= 1 << (position & 7)


def _positions(topic: bytes, size: int) -> Iterator[int]:
    digest = int.from_bytes(blake2b(topic, digest_size=8).digest(), "little")
    start, step = digest & 0xFFFFFFFF, digest >> 32 | 1
    return ((start + number * step) % size for number in range(POSITIONS))
