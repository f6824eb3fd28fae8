"""The senders of examples/emitter as commands: in plain pyzmq, in Node.js, in C, and with `zmqio.Emitter`.

Each is run as a user would run it, and takes the address as its only argument.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.cluster import process_environment
from tests.support.npm import node_modules, require_node
from tests.support.timing import LIMIT_S
from tests.support.tools import require_libzmq

__all__ = ["EXAMPLES", "FOREIGN_SENDERS", "Sender", "make_sender"]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "emitter"
FOREIGN_SENDERS = {"pyzmq": "pyzmq", "node": "Node.js", "c": "C"}
"""Sender -> its name in messages. Each sends JSON to all in `/`, then msgpack with bytes to the room `lobby`."""

ATTEMPTS = 4


@dataclass(frozen=True)
class Sender:
    """A command that publishes and exits.

    Attributes:
        command: the command; the address is appended.
    """

    command: tuple[str, ...]

    def run(self, address: str, *key_files: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
        """Run it to its end, with the broker's public key file and a secret key file if given."""
        return subprocess.run(
            [*self.command, address, *map(str, key_files)],
            env=process_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=3 * LIMIT_S,
            check=False,
        )

    def run_until_sent(self, address: str, *key_files: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
        """Run it, and again if it fails: it gives a broker 2 s to connect, which may be too few on a busy machine.

        A sender that finds no broker has sent nothing.
        """
        for _ in range(ATTEMPTS - 1):
            done = self.run(address, *key_files)
            if done.returncode == 0:
                return done
        return self.run(address, *key_files)


def make_sender(name: str, folder: Path) -> Sender:
    """Prepare a sender: `pyzmq`, `node`, `c` or `emitter`; skips (fails with CI) where its tools are missing.

    Args:
        name: which.
        folder: an empty one, for what has to be built.
    """
    return Sender(_MAKERS[name](folder))


def _pyzmq(_folder: Path) -> tuple[str, ...]:
    return (sys.executable, str(EXAMPLES / "plain_pyzmq.py"))


def _emitter(_folder: Path) -> tuple[str, ...]:
    return (sys.executable, str(EXAMPLES / "python_emitter.py"))


def _node(folder: Path) -> tuple[str, ...]:
    node = require_node()
    # As after `npm install`: Node.js looks for packages beside the file.
    script = str(shutil.copy(EXAMPLES / "node" / "publish.mjs", folder))
    (folder / "node_modules").symlink_to(node_modules("zeromq", "@msgpack/msgpack"))
    return (node, script)


def _c(folder: Path) -> tuple[str, ...]:
    compiler = require_libzmq()
    program = folder / "publish"
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", str(program)]
    subprocess.run([*command, str(EXAMPLES / "c" / "publish.c"), "-lzmq"], check=True, timeout=LIMIT_S)
    return (str(program),)


_MAKERS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "pyzmq": _pyzmq,
    "emitter": _emitter,
    "node": _node,
    "c": _c,
}
