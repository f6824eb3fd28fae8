"""The position of a namespace, and the offsets that stand for it."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.ids import NodeId
from zmqio.recovery.position import MAX_OFFSET, MAX_TABLES, Position, Tables, explicit_offset
from zmqio.recovery.vector import log_key

ME, OTHER = NodeId("tagA-me"), NodeId("tagB-other")
OWN = log_key(ME)


def position(own: int = 0, keep_s: float = 100.0) -> Position:
    return Position(ME, "tagA", own, keep_s, count(1))


def decoded(of: Position, offset: str) -> dict[str, int] | None:
    return of.tables.decode(offset)


steps = st.lists(
    st.tuples(st.sampled_from([ME, *(NodeId(f"n{i}") for i in range(60))]), st.integers(1, 500), st.floats(0, 2)),
    max_size=200,
)


@given(steps)
def test_every_offset_stands_for_the_position_at_its_moment(steps: list[tuple[NodeId, int, float]]) -> None:
    here, now, numbers, made = position(), 0.0, dict[str, int](), []
    for node_id, more, wait_s in steps:
        now += wait_s / 10
        number = numbers[node_id] = numbers.get(node_id, 0) + more
        if node_id == ME:
            here.advance(number, now)
        else:
            here.received(node_id, number, now)
        made.append((here.offset(now), dict(here.vector())))
    for offset, vector in made:
        known = decoded(here, offset)
        assert known is not None and {key: n for key, n in known.items() if n} == {
            k: n for k, n in vector.items() if n
        }
        assert len(offset) <= MAX_OFFSET


def test_an_offset_is_short_and_unchanged_while_nothing_is_delivered() -> None:
    here = position()
    here.advance(1, 0.0)
    first = here.offset(0.0)
    assert here.offset(50.0) == first
    here.received(OTHER, 70_000, 50.0)
    here.offset(50.0)
    here.received(OTHER, 70_001, 50.1)
    assert len(here.offset(50.1)) <= 12
    assert decoded(here, here.offset(50.1)) == {OWN: 1, OTHER: 70_001}


def test_a_packet_that_arrives_behind_a_later_one_makes_earlier_offsets_unknown() -> None:
    here = position()
    assert here.received(OTHER, 8, 0.0)
    before = here.offset(0.0)
    assert not here.received(OTHER, 7, 0.0)
    assert decoded(here, before) is None
    assert here.vector()[OTHER] == 8
    after = here.offset(0.0)
    assert after != before
    assert decoded(here, after) == {OWN: 0, OTHER: 8}


def test_tables_are_dropped_when_they_are_old_or_too_many() -> None:
    here = position(keep_s=10)
    here.advance(1, 0.0)
    old = here.offset(0.0)
    here.advance(2, 5.0)
    here.offset(5.0)
    assert decoded(here, old) == {OWN: 1}
    here.advance(3, 26.0)
    here.offset(26.0)
    assert decoded(here, old) == {}  # everything that is kept was sent after it
    for number in range(MAX_TABLES + 5):
        here.received(NodeId(f"n{number}"), 1, 27.0)  # a new node needs a new table
        here.offset(27.0)
    assert len(here.tables.by_id) == MAX_TABLES
    assert decoded(here, old) is None  # it was dropped for its number, so newer packets may be kept


@pytest.mark.parametrize(
    "text", ["", "tagA", "tagB1.", "tagAx.", "tagA1", "tagA1.A", "tagA1.BQE", "tagA9.", "~", "~x", "é"]
)
def test_a_malformed_offset_is_refused(text: str) -> None:
    here = position()
    here.advance(1, 0.0)
    here.offset(0.0)
    assert decoded(here, text) is None


@given(st.text(st.characters(max_codepoint=300), max_size=200))
def test_any_text_is_decoded_or_refused(text: str) -> None:
    here = position()
    here.offset(0.0)
    for prefix in ("", "tagA", "tagA1.", "~"):
        decoded(here, prefix + text)


def test_an_explicit_offset_needs_no_table() -> None:
    assert Tables("tagX").decode(explicit_offset({"a": 1})) == {"a": 1}


@given(steps, st.integers(1, 10))
def test_a_copied_table_is_used_only_after_it_was_made_for_a_while(
    steps: list[tuple[NodeId, int, float]], every: int
) -> None:
    here, now, numbers = position(), 0.0, dict[str, int]()
    here.offset(now)
    copied, made = dict(here.tables.by_id), list[tuple[str, dict[str, int], int]]()
    for index, (node_id, more, _) in enumerate(steps):
        now += 0.1
        if index % every == 0:
            copied = dict(here.tables.by_id)  # those of the last call have arrived
            here.renew_table(now)
        number = numbers[node_id] = numbers.get(node_id, 0) + more
        is_first = number == more and node_id != ME
        if node_id == ME:
            here.advance(number, now)
        else:
            here.received(node_id, number, now)
        offset = here.offset(now)
        made.append((offset, dict(here.vector()), 0))
        used = int(offset[4:].partition(".")[0], 16)
        if is_first:
            copied = dict(here.tables.by_id)  # a new node needs a table at once
        assert used in copied or len(numbers) > 15  # long differences also do
    for offset, vector, _ in made:
        known = decoded(here, offset)
        assert known is not None and {k: n for k, n in known.items() if n} == {
            k: n for k, n in vector.items() if n
        }


def test_without_copies_tables_are_made_when_they_are_needed_again() -> None:
    here = position()
    here.advance(1, 0.0)
    here.offset(0.0)
    here.renew_table(1.0)
    here.advance(2, 50.0)
    assert here.offset(50.0)[:6] == "tagA1."
    here.stop_copying()
    here.advance(3, 51.0)
    assert here.offset(51.0)[:6] == "tagA2."
