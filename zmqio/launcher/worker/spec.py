"""What a worker or an acceptor has to know, as it travels in its environment. Pure."""

import json
from dataclasses import asdict, dataclass

from zmqio.launcher.routing.worker_choice import Sticky

__all__ = ["ACCEPTOR_ENVIRONMENT", "ENVIRONMENT", "AcceptorSpec", "WorkerSpec"]

ENVIRONMENT = "ZMQIO_SERVE_WORKER"
ACCEPTOR_ENVIRONMENT = "ZMQIO_SERVE_ACCEPTOR"


@dataclass(frozen=True, slots=True)
class WorkerSpec:
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
    def from_json(cls, text: str) -> "WorkerSpec":
        """From the environment."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class AcceptorSpec:
    """What one acceptor has to know.

    Attributes:
        number: its number, for the log.
        listener_fd: file descriptor of the listening socket.
        link_fd: file descriptor of the socket to its supervisor.
        sticky: how it chooses a worker.
        after_slot: where its choice begins (see `Choice`).
        reads_heads, head_limit_s: as of `Balancer`.
        trusted_proxies: as of `TrustedProxies`.
        log_format, log_level: as of the `zmqio` command.
    """

    number: int
    listener_fd: int
    link_fd: int
    sticky: Sticky = "sid"
    after_slot: int = -1
    reads_heads: bool = True
    head_limit_s: float = 10.0
    trusted_proxies: str = ""
    log_format: str = "auto"
    log_level: str = "info"

    def to_json(self) -> str:
        """As text for the environment."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "AcceptorSpec":
        """From the environment."""
        return cls(**json.loads(text))
