"""A `Counter` for counts that change with each message."""

from collections import Counter

__all__ = ["Counts"]


class Counts(Counter[str]):
    """A `Counter` of which `counts[name] += 1` takes half the time.

    `Counter` defines `__delitem__`, so CPython looks up methods for each assignment, too. Here both are those of
    `dict`, which CPython calls directly. Only `del` of a name that is missing differs: it raises KeyError.
    """

    __delitem__ = dict.__delitem__  # type: ignore[assignment]
    __setitem__ = dict.__setitem__
