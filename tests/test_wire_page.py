"""The page of the wire protocol lists every message between nodes with its number and its fields."""

import re
from dataclasses import fields

from tests.support.pages import ROOT
from zmqio.protocol import messages, recovery_messages, relay_messages
from zmqio.protocol.envelope import WIRE_VERSION
from zmqio.protocol.messages import MessageType

PAGE = (ROOT / "docs" / "wire-protocol.md").read_text()
ROW = re.compile(r"^\| (\d+) \| `(\w+)` \| ([^|]*) \|", re.M)


def class_of(number: int) -> type:
    """Return the dataclass of a message type."""
    name = "".join(part.capitalize() for part in MessageType(number).name.split("_"))
    for module in (messages, recovery_messages, relay_messages):
        for candidate in (name, f"{name}Message"):
            if hasattr(module, candidate):
                return getattr(module, candidate)
    raise AssertionError(f"no class for {MessageType(number)!r}")


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
