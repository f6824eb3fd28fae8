"""Node tags for workers: a new one for each process, so that an old session id never points to a new worker.

Pure, apart from random numbers.
"""

import re
import secrets
from collections import deque

from zmqio.exceptions import ConfigError
from zmqio.ids import NODE_TAG_LENGTH, NodeTag

__all__ = ["TagSource"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_PREFIX_SHAPE = re.compile(r"[A-Za-z0-9_-]{0,2}")
_MAX_REMEMBERED = 1_000
"""Most recent tags that are not used again, of the 4,096 that the longest prefix allows."""


class TagSource:
    """Generates node tags.

    Args:
        prefix: at most 2 characters with which every tag begins, so that an outer balancer can
            distinguish machines. The remaining characters are random; without a prefix all 4 are (24 bits).

    Raises:
        ConfigError: the prefix is longer, or has characters other than A-Z a-z 0-9 _ -.
    """

    def __init__(self, prefix: str = "") -> None:
        if not _PREFIX_SHAPE.fullmatch(prefix):
            raise ConfigError(f"node tag prefix {prefix!r} must be at most 2 characters of A-Z a-z 0-9 _ -")
        self._prefix = prefix
        self._recent: deque[str] = deque(maxlen=_MAX_REMEMBERED)

    def new_tag(self) -> NodeTag:
        """Return a tag that is not among the last 1,000."""
        while True:
            rest = "".join(secrets.choice(_ALPHABET) for _ in range(NODE_TAG_LENGTH - len(self._prefix)))
            tag = self._prefix + rest
            if tag not in self._recent:
                self._recent.append(tag)
                return NodeTag(tag)
