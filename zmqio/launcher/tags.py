"""Node tags for workers: a new one for every start, so that an old session id never names a new worker.

Pure but for chance.
"""

import re
import secrets
from collections import deque

from zmqio.exceptions import ConfigError
from zmqio.ids import NODE_TAG_LENGTH, NodeTag

__all__ = ["TagSource"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_PREFIX_SHAPE = re.compile(r"[A-Za-z0-9_-]{0,2}")
_KEPT = 1_000
"""Newest tags that are not given again; of the 4,096 that the longest prefix leaves."""


class TagSource:
    """Draws tags.

    Args:
        prefix: at most 2 characters that all of them begin with, so that another balancer can tell machines
            apart; the rest is random. Left empty all 4 characters are (24 bits).

    Raises:
        ConfigError: the prefix is longer, or has other characters than A-Z a-z 0-9 _ -.
    """

    def __init__(self, prefix: str = "") -> None:
        if not _PREFIX_SHAPE.fullmatch(prefix):
            raise ConfigError(f"node tag prefix {prefix!r} has to be at most 2 characters of A-Z a-z 0-9 _ -")
        self._prefix = prefix
        self._given: deque[str] = deque(maxlen=_KEPT)

    def draw(self) -> NodeTag:
        """A tag that was not given for a long time."""
        while True:
            rest = "".join(secrets.choice(_ALPHABET) for _ in range(NODE_TAG_LENGTH - len(self._prefix)))
            tag = self._prefix + rest
            if tag not in self._given:
                self._given.append(tag)
                return NodeTag(tag)
