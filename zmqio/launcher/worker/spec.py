"""The settings of a worker or acceptor process, passed as JSON in its environment. Pure."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from zmqio.config import HTTP_LIMITS
from zmqio.launcher.routing.worker_choice import Sticky

__all__ = ["ACCEPTOR_SPEC_VARIABLE", "WORKER_SPEC_VARIABLE", "AcceptorSpec", "WorkerSpec"]

WORKER_SPEC_VARIABLE = "ZMQIO_SERVE_WORKER"
ACCEPTOR_SPEC_VARIABLE = "ZMQIO_SERVE_ACCEPTOR"


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """Settings of one worker.

    Attributes:
        app: the app as module:attribute.
        slot: number of the slot, for the log.
        link_fd: file descriptor of the socket to the parent.
        import_path: folder in which modules are looked for first.
        stop_timeout_s: seconds that the worker may take to exit once its parent is gone; then it is killed.
        http: fields of `HttpOptions`.
        receives_links: whether the parent passes links to acceptors rather than connections.
        reports_metrics: whether the worker sends its metrics to the parent.
        log_format, log_level: the options of the same name of the `zmqio` command.
    """

    app: str
    slot: int
    link_fd: int
    import_path: str
    stop_timeout_s: float
    http: dict[str, Any]
    receives_links: bool = False
    reports_metrics: bool = False
    log_format: str = "auto"
    log_level: str = "info"

    def to_json(self) -> str:
        """Encode for the environment."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "WorkerSpec":
        """Decode from the environment."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class AcceptorSpec:
    """Settings of one acceptor.

    Attributes:
        number: number of the acceptor, for the log.
        listener_fd: file descriptor of the listening socket.
        link_fd: file descriptor of the socket to the supervisor.
        sticky, after_slot: arguments of `WorkerChoice`.
        reads_heads, head_limit_s, max_head_bytes: arguments of `Balancer`.
        trusted_proxies: argument of `TrustedProxies`.
        log_format, log_level: the options of the same name of the `zmqio` command.
    """

    number: int
    listener_fd: int
    link_fd: int
    sticky: Sticky = "sid"
    after_slot: int = -1
    reads_heads: bool = True
    head_limit_s: float = HTTP_LIMITS.head_limit_s
    max_head_bytes: int = HTTP_LIMITS.max_head_bytes
    trusted_proxies: str = ""
    log_format: str = "auto"
    log_level: str = "info"

    def to_json(self) -> str:
        """Encode for the environment."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "AcceptorSpec":
        """Decode from the environment."""
        return cls(**json.loads(text))
