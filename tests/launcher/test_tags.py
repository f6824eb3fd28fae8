"""Node tags of workers."""

import pytest

from zmqio.exceptions import ConfigError
from zmqio.ids import parse_node_tag
from zmqio.launcher.tags import TagSource


@pytest.mark.parametrize("prefix", ["", "a", "_9"])
def test_tags_are_valid_unique_and_begin_with_the_prefix(prefix: str) -> None:
    source = TagSource(prefix)
    tags = [source.new_tag() for _ in range(900)]
    assert len(set(tags)) == len(tags)
    for tag in tags:
        assert parse_node_tag(tag) == tag
        assert tag.startswith(prefix)


@pytest.mark.parametrize("prefix", ["abc", "ä", "a b", "\n"])
def test_invalid_prefix_is_rejected(prefix: str) -> None:
    with pytest.raises(ConfigError, match="at most 2 characters"):
        TagSource(prefix)
