"""The settings that the demo passes to each node process, as JSON in an environment variable."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from zmqio import __version__

__all__ = ["ENVIRONMENT", "DemoNodeSpec"]

ENVIRONMENT = "ZMQIO_DEMO_NODE"


@dataclass(frozen=True, slots=True)
class DemoNodeSpec:
    """Settings of one node process.

    Attributes:
        name: `A`, `B`, ...
        urls: name -> URL of every node of the demo.
        broker: address of the broker.
        listener_fd: file descriptor of the listening socket, inherited from the demo.
        log_format, log_level: as for the `zmqio` command.
        stop_with_stdin: whether the node stops when its standard input ends.
        program: how a user who started the demo runs `zmqio`.
    """

    name: str
    urls: dict[str, str]
    broker: str
    listener_fd: int
    log_format: str = "auto"
    log_level: str = "warning"
    stop_with_stdin: bool = False
    program: str = "zmqio"

    def to_json(self) -> str:
        """Return the settings as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "DemoNodeSpec":
        """Parse the text made by `to_json`."""
        return cls(**json.loads(text))

    def page_config(self) -> dict[str, Any]:
        """Return the content of the page's `config.json`."""
        nodes = [{"name": name, "url": url} for name, url in self.urls.items()]
        config = {"node": self.name, "nodes": nodes, "broker": self.broker}
        return {**config, "program": self.program, "version": __version__}
