"""A network namespace for one process, and the link to it. Uses iproute2 and requires root.

Only new connections of the process use the namespace; an inherited listening socket stays in its own.
"""

import os
import subprocess
from types import TracebackType
from typing import Self

__all__ = ["Namespace", "NotPermittedError"]

COMMAND_LIMIT_S = 10


class NotPermittedError(Exception):
    """This machine does not allow network namespaces."""


class Namespace:
    """A network namespace that exists during the `with` block.

    Attributes:
        here: address of the outer end of the link.
        there: address of the inner end of the link.
        command: prefix of a command to run inside.

    Raises:
        NotPermittedError: on entering.
    """

    def __init__(self) -> None:
        number = os.getpid() % 16_000
        self._name = f"soak-{number}"
        self._outside, self._inside = f"soak{number}a", f"soak{number}b"
        # A separate /30 for each harness process: 10.231.x.y, y a multiple of 4.
        third, fourth = number // 64, number % 64 * 4
        self.here, self.there = (f"10.231.{third}.{fourth + host}" for host in (1, 2))
        self.command = ["ip", "netns", "exec", self._name]

    def __enter__(self) -> Self:
        try:
            _ip("netns", "add", self._name)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NotPermittedError(getattr(error, "stderr", "") or str(error)) from None
        try:
            self._connect()
        except (OSError, subprocess.CalledProcessError) as error:
            self._remove()
            raise NotPermittedError(getattr(error, "stderr", "") or str(error)) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def link(self, state: str) -> None:
        """Set the link `down` or `up`: its inner end, so that the outer address stays."""
        _ip("-n", self._name, "link", "set", self._inside, state)

    def _connect(self) -> None:
        _ip("link", "add", self._outside, "type", "veth", "peer", "name", self._inside, "netns", self._name)
        _ip("addr", "add", f"{self.here}/30", "dev", self._outside)
        _ip("link", "set", self._outside, "up")
        _ip("-n", self._name, "addr", "add", f"{self.there}/30", "dev", self._inside)
        _ip("-n", self._name, "link", "set", "lo", "up")
        self.link("up")

    def _remove(self) -> None:
        # The links end with the namespace.
        _ip("netns", "del", self._name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=COMMAND_LIMIT_S)
