"""The page of the wire protocol lists every message between nodes and its number, and each field and its type."""

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields

from tests.support.pages import ROOT
from zmqio.protocol import messages, recovery_messages, relay_messages
from zmqio.protocol.envelope import WIRE_VERSION
from zmqio.protocol.messages import MessageType

PAGE = (ROOT / "docs" / "wire-protocol.md").read_text()
ROW = re.compile(r"^\| (\d+) \| `(\w+)` \| ([^|]*) \|", re.M)
FIELD = re.compile(r"^\| `(\w+)` \| (boolean|integer|number|text|binary|packed list|list of text|list) \|", re.M)
TYPES = {
    "bool": {"boolean"},
    "int": {"integer"},
    "int | None": {"integer"},
    "float": {"number"},
    "str": {"text"},
    "bytes": {"binary", "packed list"},
    "tuple[str, ...]": {"list of text"},
}
"""The types on the page that a field's annotation allows; `list` for all others, which have rows of their own."""


def class_of(number: int) -> type:
    """Return the dataclass of a message type."""
    name = "".join(part.capitalize() for part in MessageType(number).name.split("_"))
    for module in (messages, recovery_messages, relay_messages):
        for candidate in (name, f"{name}Message"):
            if hasattr(module, candidate):
                return getattr(module, candidate)
    raise AssertionError(f"no class for {MessageType(number)!r}")


def all_fields() -> Iterator[tuple[MessageType, Field[object]]]:
    """The fields of every message."""
    for number in MessageType:
        for field in fields(class_of(number)):
            yield number, field


def annotation(field: Field[object]) -> str:
    """A field's annotation as text."""
    kind = field.type
    return kind.__name__ if type(kind) is type else str(kind)


def test_every_message_is_on_the_page_with_its_fields() -> None:
    listed = {int(number): (name, re.findall(r"`(\w+)`", names)) for number, name, names in ROW.findall(PAGE)}
    expected = {
        int(number): (kind.__name__, [field.name.rstrip("_") for field in fields(kind)])
        for number in MessageType
        for kind in (class_of(number),)
    }
    assert listed == expected


def test_the_page_is_about_this_version() -> None:
    assert PAGE.startswith(f"# The wire protocol, version {WIRE_VERSION}\n")


def test_every_field_is_on_the_page_with_its_type() -> None:
    listed = dict(FIELD.findall(PAGE))
    assert set(listed) == {field.name.rstrip("_") for _, field in all_fields()}
    wrong = [
        f"{number.name}.{field.name}: {annotation(field)} is not {listed[field.name.rstrip('_')]}"
        for number, field in all_fields()
        if listed[field.name.rstrip("_")] not in TYPES.get(annotation(field), {"list"})
    ]
    assert wrong == []


def test_fields_that_may_be_missing_are_in_brackets() -> None:
    in_brackets = {
        (int(number), name)
        for number, _, names in ROW.findall(PAGE)
        for group in re.findall(r"\[([^]]*)\]", names)
        for name in re.findall(r"`(\w+)`", group)
    }
    assert in_brackets == {
        (int(number), field.name) for number, field in all_fields() if field.default is not MISSING
    }
