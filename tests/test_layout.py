"""The house rules that a machine can check."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = {"zmqio": ROOT / "zmqio", "broker": ROOT / "broker" / "zmqio_broker"}


def modules() -> list[tuple[str, Path]]:
    """(test module expected, module), for every module that is not a package's list of names."""
    found = []
    for kind, folder in SOURCES.items():
        for path in sorted(folder.rglob("*.py")):
            if path.name in ("__init__.py", "__main__.py"):
                continue
            relative = path.relative_to(folder)
            home = relative.parent if kind == "zmqio" else Path("broker")
            found.append((str(Path("tests") / home / f"test_{path.stem}.py"), path))
    return found


@pytest.mark.parametrize(("test_module", "module"), modules(), ids=lambda value: str(value).rsplit("/", 1)[-1])
def test_every_module_has_its_test_module(test_module: str, module: Path) -> None:
    assert (ROOT / test_module).exists(), f"{module.relative_to(ROOT)} has no {test_module}"


@pytest.mark.parametrize("module", [module for _, module in modules()], ids=lambda path: path.name)
def test_every_module_begins_with_its_docstring(module: Path) -> None:
    assert module.read_text().startswith('"""'), f"{module.relative_to(ROOT)} says nothing about itself"


def test_top_level_is_the_fixed_one() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    allowed = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "zmqio", "broker", "tests", "examples"}
    top = {line.split("/")[0] for line in tracked.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= allowed


def test_layers_point_one_way_and_the_contracts_of_the_folders_hold() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
