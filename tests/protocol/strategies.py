"""Hypothesis strategies for protocol values, shared by the tests of this folder."""

from typing import Any

from hypothesis import strategies as st

MAX_COUNTER = 2**63 - 1

names = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
namespaces = names.map(lambda name: "/" + name.replace(",", ";"))
sid_shaped = st.from_regex(r"\A[A-Za-z0-9_-]{20}\Z")
rooms = st.one_of(names, sid_shaped)
counters = st.integers(min_value=0, max_value=MAX_COUNTER)

json_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**80), max_value=2**80),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
)
any_text = st.text(alphabet=st.characters())
"""Lone surrogates too."""


def nested(scalars: st.SearchStrategy[Any], keys: st.SearchStrategy[str] = any_text) -> st.SearchStrategy[Any]:
    """Lists and dicts of `scalars`, some levels deep."""
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )


plain_keys = st.text(alphabet=st.characters(exclude_categories=["Cs"])).filter(lambda key: key != "_placeholder")
json_values = nested(json_scalars, plain_keys)
values = nested(json_scalars | st.binary(max_size=40), plain_keys)
event_names = plain_keys.filter(
    lambda name: (
        name not in {"connect", "connect_error", "disconnect", "disconnecting"}
        and name not in {"newListener", "removeListener"}
    )
)
