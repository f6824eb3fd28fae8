"""Ids have the documented format and name their owner."""

import pytest

from zmqio.ids import (
    is_sid_shaped,
    make_engine_sid,
    make_node_id,
    make_node_tag,
    make_sid,
    parse_node_tag,
    tag_of,
)


def test_session_ids_have_the_usual_format_and_name_their_owner() -> None:
    tag = make_node_tag()
    for sid in (make_sid(tag), make_engine_sid(tag)):
        assert is_sid_shaped(sid)
        assert tag_of(sid) == tag


def test_session_ids_are_different() -> None:
    tag = make_node_tag()
    assert len({make_sid(tag) for _ in range(1000)}) == 1000


def test_node_id_begins_with_the_tag_and_is_printable() -> None:
    tag = make_node_tag()
    node_id = make_node_id(tag)
    assert tag_of(node_id) == tag
    assert len(node_id) == 15
    assert node_id != make_node_id(tag)


@pytest.mark.parametrize("text", ["", "abc", "abcde", "ab d", "ab/d", "abcé"])
def test_malformed_tag_is_rejected_with_the_rule(text: str) -> None:
    with pytest.raises(ValueError, match="exactly 4 characters"):
        parse_node_tag(text)


@pytest.mark.parametrize("name", ["lobby", "a" * 19, "a" * 21, "a" * 19 + "/", "a" * 19 + "\n"])
def test_other_names_do_not_have_the_format_of_a_session_id(name: str) -> None:
    assert not is_sid_shaped(name)
