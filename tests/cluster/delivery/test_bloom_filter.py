"""The Bloom filter matches every topic in it, and few others."""

from hypothesis import given
from hypothesis import strategies as st

from zmqio.cluster.delivery.bloom_filter import GrowingBloomFilter, TopicBloomFilter

some_topics = st.lists(st.binary(max_size=40), max_size=50)


def full_filter(topics: list[bytes]) -> bytes:
    """A filter that has room for no further topic."""
    growing = GrowingBloomFilter(topics[: len(topics) // 2])
    for topic in topics[len(topics) // 2 :]:
        growing.add(topic)
    return growing.to_bytes()


@given(some_topics)
def test_every_added_topic_matches(topics: list[bytes]) -> None:
    known = TopicBloomFilter(full_filter(topics))
    for _ in range(2):  # looked up, then cached
        assert all(topic in known for topic in topics)


def test_about_one_other_topic_in_a_hundred_matches() -> None:
    known = TopicBloomFilter(full_filter([b"zmqio/r//\0room-%d\0" % number for number in range(2_000)]))
    found = sum(b"zmqio/r//\0other-%d\0" % number in known for number in range(20_000))
    assert 20 < found < 400


def test_empty_filter_matches_nothing() -> None:
    assert b"a" not in TopicBloomFilter(full_filter([]))
    assert b"a" not in TopicBloomFilter(b"")


def test_filter_takes_24_bits_per_topic_when_new_and_12_when_full() -> None:
    topics = [b"%d" % number for number in range(5_000)]
    assert len(GrowingBloomFilter(topics).to_bytes()) == 15_000
    assert len(full_filter(topics)) == 7_500
    assert len(full_filter([b"one"])) == 8


def test_format_is_fixed() -> None:
    """Other implementations must compute the same positions."""
    assert full_filter([b"zmqio/a/\0"]).hex() == "0000000000920400"


@given(st.binary(max_size=30), st.binary(max_size=20))
def test_any_bytes_are_a_valid_filter(bits: bytes, topic: bytes) -> None:
    assert (topic in TopicBloomFilter(bits)) in (True, False)


def test_lookups_stay_correct_beyond_the_cache_size() -> None:
    known = TopicBloomFilter(full_filter([b"mine"]))
    for number in range(10_001):
        _ = b"%d" % number in known
    assert b"mine" in known


@given(some_topics, some_topics)
def test_growing_filter_matches_initial_and_later_topics(first: list[bytes], later: list[bytes]) -> None:
    growing = GrowingBloomFilter(first)
    for topic in later:
        growing.add(topic)
    known = TopicBloomFilter(growing.to_bytes())
    assert all(topic in known for topic in first + later)


def test_growing_filter_has_room_for_as_many_again() -> None:
    growing = GrowingBloomFilter([b"%d" % number for number in range(100)])
    for number in range(99):
        growing.add(b"new-%d" % number)
    assert not growing.is_full
    growing.add(b"one more")
    assert growing.is_full
