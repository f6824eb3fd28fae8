"""A set of topics in few bytes, to send along with a request: a Bloom filter. Pure.

A topic that was added always matches; any other topic matches about once in a hundred times, and a node drops the
surplus messages that it receives for that reason. A topic takes 12 bits, so 5,000 topics take 7.5 KB.

The format: a bit array, least significant bit of the first byte first. The positions of a topic are
`(a + i * b) mod bits` for i from 0 to 3, where a and b are the two little-endian 32-bit halves of the topic's
8-byte BLAKE2b digest, and b is made odd.

Source: https://en.wikipedia.org/wiki/Bloom_filter; Kirsch and Mitzenmacher, "Less hashing, same performance"
(2006).
"""

from collections.abc import Collection, Iterator
from hashlib import blake2b

__all__ = ["GrowingBloomFilter", "TopicBloomFilter", "make_filter"]

BITS_PER_TOPIC = 12
POSITIONS = 4
MIN_BYTES = 8
MAX_CACHED_TOPICS = 10_000


def make_filter(topics: Collection[bytes]) -> bytes:
    """Make a filter of topics; takes about 2 us per topic."""
    bits = bytearray(max(MIN_BYTES, len(topics) * BITS_PER_TOPIC // 8))
    for topic in topics:
        _add(bits, topic)
    return bytes(bits)


class GrowingBloomFilter:
    """A filter of topics that come and go. Adding a topic takes 2 us, because the filter is not rebuilt.

    It has room for as many topics again as it starts with. A removed topic matches until the filter is rebuilt.
    """

    def __init__(self, topics: Collection[bytes]) -> None:
        self._bits = bytearray(max(MIN_BYTES, 2 * len(topics) * BITS_PER_TOPIC // 8))
        self._room = len(self._bits) * 8 // BITS_PER_TOPIC
        for topic in topics:
            self.add(topic)

    @property
    def is_full(self) -> bool:
        """Whether the filter should be rebuilt."""
        return self._room <= 0

    def add(self, topic: bytes) -> None:
        """Add a topic."""
        self._room -= 1
        _add(self._bits, topic)

    def to_bytes(self) -> bytes:
        """The filter, in the format of `make_filter`."""
        return bytes(self._bits)


class TopicBloomFilter:
    """Looks topics up in a filter. Results are cached, because most messages use few topics.

    Args:
        bits: a filter made by `make_filter`; an empty one matches nothing.
    """

    def __init__(self, bits: bytes) -> None:
        self._bits = bits
        self._cache: dict[bytes, bool] = {}

    def __contains__(self, topic: bytes) -> bool:
        found = self._cache.get(topic)
        if found is None:
            if len(self._cache) >= MAX_CACHED_TOPICS:
                self._cache.clear()
            found = self._cache[topic] = self._look_up(topic)
        return found

    def _look_up(self, topic: bytes) -> bool:
        bits, size = self._bits, len(self._bits) * 8
        return size > 0 and all(bits[at >> 3] >> (at & 7) & 1 for at in _positions(topic, size))


def _add(bits: bytearray, topic: bytes) -> None:
    for position in _positions(topic, len(bits) * 8):
        bits[position >> 3] |= 1 << (position & 7)


def _positions(topic: bytes, size: int) -> Iterator[int]:
    digest = int.from_bytes(blake2b(topic, digest_size=8).digest(), "little")
    start, step = digest & 0xFFFFFFFF, digest >> 32 | 1
    return ((start + number * step) % size for number in range(POSITIONS))
