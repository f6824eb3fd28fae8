"""Lines at the end of a test run: what was skipped and why, and which code blocks of the pages were run."""

from collections import Counter, defaultdict
from collections.abc import Iterable

import pytest

from tests.support.pages import PAGES, Block

__all__ = ["SHOWN_ONLY", "block_lines", "skip_lines"]

SHOWN_ONLY = ("", "text", "json", "ini")
"""Languages of blocks that show something and need no test."""
RUN = {
    "file": "files that a test saves and runs, or compares with the repository",
    "part of": "parts of such files",
    "tested by": "run by the test that they name",
    "test-command": "README's test command",
}
"""Kind of marker (`tests.support.pages`) -> what happens with its block."""
MAX_MODULES = 3
"""Most modules that a line names."""


def skip_lines(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Return one line for each reason why tests were skipped, the most frequent first."""
    modules: dict[str, Counter[str]] = defaultdict(Counter)
    for report in reports:
        modules[_reason(report)][report.nodeid.partition("::")[0]] += 1
    ordered = sorted(modules.items(), key=lambda item: (-item[1].total(), item[0]))
    return [f"{found.total():4d}  {reason} ({_names(found)})" for reason, found in ordered]


def block_lines() -> list[str]:
    """Return the number of code blocks of README and docs for each way in which they are tested, or not."""
    blocks = [block for page in PAGES for block in Block.of(page)]
    lines = [f"{sum(block.kind == kind for block in blocks):4d}  {meaning}" for kind, meaning in RUN.items()]
    shown = sum(block.language in SHOWN_ONLY and block.kind not in (*RUN, "not run") for block in blocks)
    lines.append(f"{shown:4d}  not run: they show output, data or a drawing")
    reasons = Counter(block.argument for block in blocks if block.kind == "not run")
    lines += [f"{count:4d}  not run: {reason}" for reason, count in reasons.most_common()]
    return lines


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return " ".join(text.removeprefix("Skipped: ").split())[:200]


def _names(modules: Counter[str]) -> str:
    names = sorted(modules)
    rest = len(names) - MAX_MODULES
    return ", ".join(names[:MAX_MODULES]) + (f" and {rest} more modules" if rest > 0 else "")
