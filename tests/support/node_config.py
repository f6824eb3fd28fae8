"""The settings of one node process of the end-to-end tests; passed as JSON on its command line."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["NodeConfig"]


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node process.

    Attributes:
        name: its name in `whoami` and in log lines.
        adapter: address of the broker, or None for a node that is alone.
        host: `fast` runs uvicorn as `zmqio serve` does; `uvicorn` and `hypercorn` run with their own defaults.
        lifespan: uvicorn's option of that name; only for `uvicorn`.
        mounted: put the ASGI app into a FastAPI app by `mount`, which hides the lifespan from it.
        options: options of `zmqio.Server`.
        bus: options of `ZmqAdapter`.
        environment: variables for the process.
    """

    name: str
    adapter: str | None = None
    host: str = "fast"
    lifespan: str = "auto"
    mounted: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    bus: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """As text for the command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "NodeConfig":
        """From the command line."""
        return cls(**json.loads(text))
