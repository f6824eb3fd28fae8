"""What the demo tells each of its nodes."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from zmqio import __version__

__all__ = ["ENVIRONMENT", "DemoNodeSpec"]

ENVIRONMENT = "ZMQIO_DEMO_NODE"


@dataclass(frozen=True, slots=True)
class DemoNodeSpec:
    """What one node has to know.

    Attributes:
        name: `A`, `B`, ...
        urls: name -> address of every node of the demo.
        broker: address of the broker.
        listener_fd: file descriptor of the bound socket.
        log_format, log_level: as of the `zmqio` command.
        ends_with_stdin: whether the node stops when its standard input ends.
    """

    name: str
    urls: dict[str, str]
    broker: str
    listener_fd: int
    log_format: str = "auto"
    log_level: str = "warning"
    ends_with_stdin: bool = False

    def to_json(self) -> str:
        """As text for the environment."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "DemoNodeSpec":
        """From the environment."""
        return cls(**json.loads(text))

    def config(self) -> dict[str, Any]:
        """What the page wants to know."""
        nodes = [{"name": name, "url": url} for name, url in self.urls.items()]
        return {"node": self.name, "nodes": nodes, "broker": self.broker, "version": __version__}
