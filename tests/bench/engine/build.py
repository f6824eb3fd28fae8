"""Compile the C programs of the benchmark into `.tools/bench`, again when a source has changed."""

import shutil
import subprocess
from pathlib import Path

__all__ = ["compiled"]

SOURCES = Path(__file__).parent / "c"
HOME = Path(__file__).resolve().parents[3] / ".tools" / "bench"
PROGRAMS = {"load": ("wire.c", "client.c", "load.c"), "floor": ("wire.c", "floor.c")}
COMPILE_LIMIT_S = 60


def compiled(program: str) -> Path:
    """The path of `load` or `floor`.

    Raises:
        SystemExit: there is no C compiler.
        subprocess.CalledProcessError: it does not compile.
    """
    path = HOME / program
    newest = max(source.stat().st_mtime for source in SOURCES.iterdir())
    if path.exists() and path.stat().st_mtime > newest:
        return path
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise SystemExit("the benchmark needs a C compiler (gcc or cc) for its load generator")
    HOME.mkdir(parents=True, exist_ok=True)
    sources = [str(SOURCES / name) for name in PROGRAMS[program]]
    subprocess.run([compiler, "-O2", "-Wall", *sources, "-o", str(path)], check=True, timeout=COMPILE_LIMIT_S)
    return path
