"""The code blocks of the pages, and what each page says about how they are tested.

The line above a block is a comment that Markdown does not show:

- `<!-- file: NAME -->`: a file to save. A name with a folder is a file of the repository, with the same text.
- `<!-- part of: NAME -->`: lines of a file of the repository.
- `<!-- tested by: PATH -->`: the test module that runs the block.
- `<!-- not run: REASON -->`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "ROOT", "Block", "commands_of", "files_of"]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"(?:^<!-- (?P<marker>[^>]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Block:
    """A code block.

    Attributes:
        page: the file that contains it.
        language: the word behind the opening fence; empty without one.
        marker: the comment on the line above, without its frame; empty without one.
        text: the lines, with a newline after each.
    """

    page: Path
    language: str
    marker: str
    text: str

    @property
    def kind(self) -> str:
        """The words of the marker before the colon."""
        return self.marker.partition(":")[0]

    @property
    def argument(self) -> str:
        """The words of the marker after the colon."""
        return self.marker.partition(": ")[2]

    @classmethod
    def of(cls, page: Path) -> "list[Block]":
        """Return the blocks of a page in order."""
        found = _BLOCK.finditer(page.read_text())
        return [cls(page, match["language"], match["marker"] or "", match["text"]) for match in found]


def files_of(page: Path) -> dict[str, str]:
    """Return the files that a page asks to save or shows whole, by their name without folders."""
    return {Path(block.argument).name: block.text for block in Block.of(page) if block.kind == "file"}


def commands_of(page: Path, start: str) -> list[str]:
    """Return the shell lines of a page that begin with `start`, without their comments."""
    lines = "".join(block.text for block in Block.of(page) if block.language == "sh").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.startswith(start)]
