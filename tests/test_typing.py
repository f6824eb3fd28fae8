"""The typed uses of the public API in `tests/typing`: mypy reads them in every run."""

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_mypy_reads_the_uses_of_the_public_api_strictly() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert options["strict"] is True
    assert "tests/typing" in options["files"]


def test_uses_of_the_public_api_name_only_what_the_package_exports() -> None:
    import zmqio

    used = {
        node.attr
        for path in (ROOT / "tests/typing").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "zmqio"
    }
    assert used
    assert used <= set(zmqio.__all__)
