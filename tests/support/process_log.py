"""The output of a process in a temporary file, as text and as parsed log lines."""

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

__all__ = ["ProcessLog"]


class ProcessLog:
    """Standard output and error of a process.

    Args:
        name: in the name of the file.

    Attributes:
        file: to be passed to the process.
    """

    def __init__(self, name: str) -> None:
        self.file = tempfile.NamedTemporaryFile("w+", prefix=f"zmqio-{name}-", suffix=".log")  # noqa: SIM115
        self._lines: list[dict[str, Any]] = []
        self._by_event: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._read_bytes = 0

    def text(self) -> str:
        """Everything that was written."""
        return Path(self.file.name).read_text(errors="replace")

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """The lines that are JSON objects, of one event or of all."""
        self._read_on()
        return list(self._lines if event is None else self._by_event[event])

    def close(self) -> None:
        """Delete the file."""
        self.file.close()

    def _read_on(self) -> None:
        """Parse new data up to its last complete line, because tests read the log 100 times per second."""
        with Path(self.file.name).open("rb") as file:
            file.seek(self._read_bytes)
            added = file.read()
        complete = added[: added.rfind(b"\n") + 1]
        self._read_bytes += len(complete)
        for text in complete.splitlines():
            line = _parse(text)
            if line:
                self._lines.append(line)
                self._by_event[str(line.get("event"))].append(line)


def _parse(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
