"""A set of topics in few bytes, to send along with a request: a Bloom filter. Pure.

A topic that was added always matches; any other topic matches about once in a hundred times, and a node drops the
surplus messages that it receives for that reason. A topic takes 24 bits in a new filter, and 12 in a full one, so
5,000 topics take 15 KB at most.

The format: a bit array, least significant bit of the first byte first. The positions of a topic are
`(a + i * b) mod bits` for i from 0 to 3, where a and b are the two little-endian 32-bit halves of the topic's
8-byte BLAKE2b digest, and b is made odd.

Source: https://en.wikipedia.org/wiki/Bloom_filter; Kirsch and Mitzenmacher, "Less hashing, same performance"
(2006).
"""

from collections.abc import Collection, Iterator
from hashlib import blake2b

__all__ = ["GrowingBloomFilter", "TopicBloomFilter"]

BITS_PER_TOPIC = 12
POSITIONS = 4
MIN_BYTES = 8
MAX_CACHED_TOPICS = 10_000


class GrowingBloomFilter:
    """A filter of topics that come and go. Adding a topic takes 2 us, because the filter is not rebuilt.

    The filter has room for twice as many topics as it starts with. A removed topic matches until a new filter
    replaces this one.
    """

    def __init__(self, topics: Collection[bytes]) -> None:
        self._bits = bytearray(max(MIN_BYTES, 2 * len(topics) * BITS_PER_TOPIC // 8))
        self._room = len(self._bits) * 8 // BITS_PER_TOPIC
        for topic in topics:
            self.add(topic)

    @property
    def is_full(self) -> bool:
        """Whether a new filter should replace this one."""
        return self._room <= 0

    def add(self, topic: bytes) -> None:
        """Add a topic."""
        self._room -= 1
        for position in _positions(topic, len(self._bits) * 8):
            self._bits[position >> 3] |= 1 << (position & 7)

    def to_bytes(self) -> bytes:
        """The filter as it is sent."""
        return bytes(self._bits)


class TopicBloomFilter:
    """Looks topics up in a filter. Results are cached, because most messages use few topics.

    Args:
        bits: a filter as returned by `GrowingBloomFilter.to_bytes`; an empty one matches nothing.
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


def _positions(topic: bytes, size: int) -> Iterator[int]:
    digest = int.from_bytes(blake2b(topic, digest_size=8).digest(), "little")
    start, step = digest & 0xFFFFFFFF, digest >> 32 | 1
    return ((start + number * step) % size for number in range(POSITIONS))
