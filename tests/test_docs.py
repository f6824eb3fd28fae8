"""The pages of the project: what they name exists, and their links lead somewhere."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
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


def test_relative_links_lead_to_files() -> None:
    broken = [
        f"{page_name(page)}: {link}"
        for page in PAGES
        for link in LINK.findall(CODE.sub("", page.read_text()))
        if "://" not in link and not link.startswith("mailto:") and not (page.parent / link).exists()
    ]
    assert broken == []
