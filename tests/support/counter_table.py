"""The table of counters in zmqio/metrics/counters.py, read from docs/reference/events.md.

`python -m tests.support.counter_table` writes the table after the page has changed.
"""

import re
import subprocess
import sys
from pathlib import Path

__all__ = ["PARTS", "read_counters"]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "events.md"
MODULE = ROOT / "zmqio" / "metrics" / "counters.py"
PARTS = ("server", "engine", "relay", "bus", "http")
MAX_LINE = 114
BREAK_AT = 90


def read_counters(part: str) -> dict[str, str]:
    """Return the counters of a part and the first sentence of each."""
    section = PAGE.read_text().split(f"\n### Counters: {part}\n")[1].split("\n### ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.M)
    return {name: text.replace("`", "").split(". ")[0].rstrip(".") + "." for name, text in rows}


def _row(name: str, text: str) -> str:
    quoted = text.replace('"', "'")
    line = f'        "{name}": "{quoted}",'
    if len(line) <= MAX_LINE:
        return line
    end = quoted.rfind(" ", 0, BREAK_AT) + 1
    return f'        "{name}": (\n            "{quoted[:end]}"\n            "{quoted[end:]}"\n        ),'


def main() -> None:
    """Write the table."""
    before, _, rest = MODULE.read_text().partition("COUNTERS: Mapping")
    after = rest.partition("\n}\n")[2]
    lines = ["COUNTERS: Mapping[str, Mapping[str, str]] = {"]
    for part in PARTS:
        rows = [_row(name, text) for name, text in read_counters(part).items()]
        lines += [f'    "{part}": {{', *rows, "    },"]
    MODULE.write_text(before + "\n".join(lines) + "\n}\n" + after)
    subprocess.run([Path(sys.executable).parent / "ruff", "format", "-q", MODULE], check=True)


if __name__ == "__main__":
    main()
