"""npm packages for the tests: installed once into `.tools/node` (ignored by git) and used again.

`ZMQIO_NODE_MODULES` may name a `node_modules` folder that has them already. A lock file lets only one of several
test runs install at a time.
"""

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.timing import LIMIT_S
from tests.support.tools import missing, require

__all__ = ["PACKAGES", "node_modules", "require_node"]

PACKAGES = {
    "socket.io-client": "^4.8",
    "socket.io": "^4.8",
    "socket.io-parser": "^4.2",
    "socket.io-msgpack-parser": "^3.0",
    "playwright-core": "^1.48",
    "axe-core": "^4.10",
    "zeromq": "^6",
    "@msgpack/msgpack": "^3",
    "@socket.io/admin-ui": "^0.5",
    "@socket.io/redis-adapter": "^8.3",
    "redis": "^5",
}
"""Every package that a test or benchmark uses, with the accepted versions."""

HOME = Path(__file__).resolve().parents[2] / ".tools" / "node"
# There only while nothing is being installed: packages lie in their place before they are complete.
COMPLETE = HOME / ".complete"
# zeromq fetches or builds its library; a cold cache on a slow line takes its time.
INSTALL_LIMIT_S = 15 * LIMIT_S


def require_node() -> str:
    """The path of `node`; `missing` when there is none."""
    return require("node")


def node_modules(*packages: str) -> Path:
    """The `node_modules` folder that has `packages` in it; installs missing ones.

    Args:
        packages: names of `PACKAGES`, or others as `name@range`; a range is `^1`, `^1.2` or `*`.
    """
    require_node()
    wanted = dict(_name_and_range(package) for package in packages)
    for folder in _known_folders():
        if _has(folder, wanted):
            return folder
    with _locked():
        if not COMPLETE.exists() or not _has(HOME / "node_modules", wanted):
            COMPLETE.unlink(missing_ok=True)
            _install(wanted)
            COMPLETE.touch()
    return HOME / "node_modules"


def _name_and_range(package: str) -> tuple[str, str]:
    name, at, wanted = package.rpartition("@")
    if at and name:
        return name, wanted
    return package, PACKAGES[package]


def _known_folders() -> list[Path]:
    named = os.environ.get("ZMQIO_NODE_MODULES")
    return [*([Path(named)] if named else []), *([HOME / "node_modules"] if COMPLETE.exists() else [])]


def _has(folder: Path, wanted: Mapping[str, str]) -> bool:
    return all(_satisfies(_installed(folder / name), versions) for name, versions in wanted.items())


def _installed(package: Path) -> str | None:
    try:
        version: str = json.loads((package / "package.json").read_text())["version"]
    except (OSError, ValueError, KeyError):
        return None
    return version


def _satisfies(version: str | None, wanted: str) -> bool:
    if version is None or wanted == "*":
        return version is not None
    least = [int(number) for number in wanted.removeprefix("^").split(".")]
    found = [int(number) for number in re.findall(r"\d+", version)[:3]]
    return found[0] == least[0] and found[: len(least)] >= least


@contextmanager
def _locked() -> Iterator[None]:
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(wanted: Mapping[str, str]) -> None:
    package_json = HOME / "package.json"
    try:
        known: dict[str, str] = json.loads(package_json.read_text())["dependencies"]
    except (OSError, ValueError, KeyError):
        known = {}
    content = {"private": True, "description": "npm packages of the tests", "dependencies": known | dict(wanted)}
    package_json.write_text(json.dumps(content, indent=2))
    command = [require("npm"), "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    try:
        done = subprocess.run(
            command,
            cwd=HOME,
            env=os.environ | {"PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        missing(f"npm {', '.join(wanted)}", f"npm install took more than {INSTALL_LIMIT_S:g} s")
    if done.returncode != 0 or not _has(HOME / "node_modules", wanted):
        missing(f"npm {', '.join(wanted)}", done.stderr[-400:])
