"""Hooks of MkDocs: links that leave `docs` become plain text, because the site does not contain their targets."""

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+[^)]*\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace the links to files outside; one folder below `docs`, one step up stays inside."""
    depth = page.file.src_uri.count("/")
    steps = "../" * (depth + 1)
    return _OUTSIDE.sub(lambda match: match[1] if steps in match[0] else match[0], markdown)
