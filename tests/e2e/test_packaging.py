"""The files that the built wheel installs, and those that it must not install."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.tools import missing

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The files of a wheel that is built from a copy of the tree, so that nothing is left behind in it."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("zmqio", "broker"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder / "out"), str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        missing("hatchling", f"the wheel could not be built: {built.stderr[-500:]}")
    (wheel,) = (folder / "out").glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_wheel_installs_two_packages_and_no_module_called_broker(names: list[str]) -> None:
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"zmqio", "zmqio_broker"}


def test_wheel_has_every_source_file_and_what_the_demo_serves(names: list[str]) -> None:
    for package, folder in (("zmqio", ROOT / "zmqio"), ("zmqio_broker", ROOT / "broker" / "zmqio_broker")):
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"{package}/{path.relative_to(folder).as_posix()}" in names


def test_licences_are_in_the_wheel(names: list[str]) -> None:
    licences = {name.rpartition("/")[2] for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "LICENSE.bundled-packages", "LICENSE.socket.io-client"}
