"""Reads the golden vectors of tests/vectors."""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent.parent / "vectors"


def load(name: str) -> list[dict[str, Any]]:
    """The entries of one file, with every `{"$hex": ...}` replaced by bytes."""
    entries: list[dict[str, Any]] = json.loads(
        (_FOLDER / f"{name}.json").read_text(encoding="utf-8"), object_hook=_bytes
    )["vectors"]
    return entries


def _bytes(item: dict[str, Any]) -> Any:
    return bytes.fromhex(item["$hex"]) if item.keys() == {"$hex"} else item
