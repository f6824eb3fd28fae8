"""The house rules that a machine can check. Each test names every offender at once."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = {"zmqio": ROOT / "zmqio", "broker": ROOT / "broker" / "zmqio_broker"}
TOP_LEVEL = {
    "pyproject.toml",
    "mkdocs.yml",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
    "zmqio",
    "broker",
    "tests",
    "examples",
    "docs",
}


def modules() -> list[tuple[str, Path]]:
    """(expected test module, module), for every module that is not a package's list of names."""
    found = []
    for kind, folder in SOURCES.items():
        for path in sorted(folder.rglob("*.py")):
            if path.name in ("__init__.py", "__main__.py"):
                continue
            relative = path.relative_to(folder)
            home = relative.parent if kind == "zmqio" else Path("broker")
            found.append((str(Path("tests") / home / f"test_{path.stem}.py"), path))
    return found


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_module_has_its_test_module() -> None:
    offenders = [f"{relative(path)} has no {test}" for test, path in modules() if not (ROOT / test).exists()]
    assert offenders == []


def test_every_module_begins_with_its_docstring() -> None:
    offenders = [relative(path) for _, path in modules() if not path.read_text().startswith('"""')]
    assert offenders == []


def test_no_two_classes_have_the_same_name() -> None:
    places = defaultdict(list)
    for folder in SOURCES.values():
        for path in sorted(folder.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(f"{relative(path)}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_top_level_is_the_fixed_one() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    top = {line.split("/")[0] for line in tracked.splitlines()}
    assert sorted(name for name in top - TOP_LEVEL if not name.startswith(".")) == []


def test_layers_point_one_way_and_the_contracts_of_the_folders_hold() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
