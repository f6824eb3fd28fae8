"""The pages of the project: what they name exists, and their links lead somewhere."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.support import pages
from tests.support.pages import ROOT, Block
from tests.support.summary import SHOWN_ONLY, block_lines, skip_lines

PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [block for page in pages.PAGES for block in Block.of(page)]
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.S)
ROOTS = (ROOT, ROOT / "zmqio", ROOT / "zmqio" / "cluster" / "delivery")


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_files_that_the_architecture_and_decisions_name_exist() -> None:
    missing = [
        f"{page_name(page)}: {path}"
        for page in PAGES
        if page.parts[-2] == "decisions" or page.name in ("architecture.md", "CONTRIBUTING.md")
        for path in PATH.findall(page.read_text())
        if not any((root / path).exists() for root in ROOTS)
    ]
    assert missing == []


def test_the_layers_of_the_architecture_are_those_of_the_linter() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    (block,) = [block for block in page.split("```") if block.startswith("\n__main__\n")]
    shown = [re.split(r" {2,}", line)[0].replace("│", "|") for line in block.strip().splitlines()]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert shown == contracts[0]["layers"]


def test_relative_links_lead_to_files() -> None:
    broken = [
        f"{page_name(page)}: {link}"
        for page in PAGES
        for link in LINK.findall(CODE.sub("", page.read_text()))
        if "://" not in link and not link.startswith("mailto:") and not (page.parent / link).exists()
    ]
    assert broken == []


def test_every_code_block_is_run_or_says_why_not() -> None:
    unmarked = [
        f"{page_name(block.page)}: {block.text.splitlines()[0]}"
        for block in BLOCKS
        if block.language not in SHOWN_ONLY
        and block.kind not in ("file", "part of", "tested by", "not run", "test-command")
    ]
    assert unmarked == [], "mark them as tests/support/pages.py says"


def test_shown_files_and_tests_exist_and_are_the_same() -> None:
    wrong = []
    for block in BLOCKS:
        path = ROOT / block.argument
        if block.kind == "file" and "/" in block.argument:
            matches = path.exists() and path.read_text() == block.text
        elif block.kind == "part of":
            matches = path.exists() and block.text in path.read_text()
        else:
            matches = block.kind != "tested by" or path.exists()
        if not matches:
            wrong.append(f"{page_name(block.page)}: {block.marker}")
    assert wrong == []


def test_pages_with_files_to_save_are_named_by_an_end_to_end_test() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "e2e").glob("*.py"))
    untested = {page_name(block.page) for block in BLOCKS if block.kind == "file" and block.page.name not in tests}
    assert untested == set()


def test_every_block_is_counted_once_at_the_end_of_the_run() -> None:
    assert sum(int(line.split()[0]) for line in block_lines()) == len(BLOCKS)


def test_skips_are_listed_by_reason_with_their_modules() -> None:
    def skip(module: str, reason: str) -> pytest.TestReport:
        longrepr = (module, 1, f"Skipped: {reason}")
        return pytest.TestReport(f"{module}::test", (module, 1, "test"), {}, "skipped", longrepr, "setup")

    reports = [
        skip("tests/a.py", "node is missing"),
        skip("tests/b.py", "node is missing"),
        skip("tests/c.py", "x"),
    ]
    assert skip_lines(reports) == ["   2  node is missing (tests/a.py, tests/b.py)", "   1  x (tests/c.py)"]
