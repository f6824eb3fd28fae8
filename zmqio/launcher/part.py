"""What a worker has to know, as it travels in its environment. Pure."""

import json
from dataclasses import asdict, dataclass

__all__ = ["ENVIRONMENT", "Part"]

ENVIRONMENT = "ZMQIO_SERVE_WORKER"


@dataclass(frozen=True, slots=True)
class Part:
    """What one worker has to know.

    Attributes:
        app: the app as module:attribute.
        slot: its number, for the log.
        link_fd: file descriptor of the socket to its parent.
        import_path: folder that modules are looked for in first.
        stop_limit_s: seconds that it may take to end once its parent is gone; then it is killed.
        http: fields of `HttpOptions`.
        takes_links: whether what comes over that socket are links to acceptors, and not connections.
        log_format, log_level: as of the `zmqio` command.
    """

    app: str
    slot: int
    link_fd: int
    import_path: str
    stop_limit_s: float
    http: dict[str, str]
    takes_links: bool = False
    log_format: str = "auto"
    log_level: str = "info"

    def to_json(self) -> str:
        """As text for the environment."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Part":
        """From the environment."""
        return cls(**json.loads(text))
