"""Options of `zmqio serve`, checked when they are created."""

import math
import os
import ssl
from dataclasses import dataclass
from typing import Literal, get_args

from zmqio.buses import addresses_of
from zmqio.config import HTTP_LIMITS
from zmqio.exceptions import ConfigError
from zmqio.launcher.app_import import check_app_name
from zmqio.launcher.listener import parse_bind, parse_metrics_address
from zmqio.launcher.routing.worker_choice import Sticky
from zmqio.launcher.silence import STALLED_AFTER_S
from zmqio.launcher.tags import TagSource
from zmqio.logs import LEVELS
from zmqio.metrics.exposition import check_installed
from zmqio.trusted_proxies import TrustedProxies

__all__ = ["ServeOptions", "acceptor_count", "check_tls", "worker_count"]

STOP_MARGIN_S = 20.0
"""Seconds that a worker may take to exit after its drain: 5 each for requests, handlers and uvicorn, plus 5."""
WORKERS_PER_ACCEPTOR = 2
"""An acceptor takes 25-50 us of CPU per connection; a worker that only answers one small GET takes 90-150. One
acceptor therefore keeps three workers busy, whatever they do (`tests.bench.balancer`). The default is two, because
the kernel spreads connections over acceptors at random."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The options of a server.

    Attributes:
        app: the ASGI app as module:attribute.
        workers: number of worker processes, or `auto` for one per processor core that this process may use.
        acceptors: number of processes that accept connections and pass them to workers, or `auto` for half as many
            as workers, rounded up. With 1 the parent process accepts; more are separate processes.
        bind: host:port or unix:path.
        broker: address of the broker to join; None starts a private one on an ipc path.
        sticky: how a worker is chosen for a connection. `sid`: a session's owner, and for a new client the worker
            with the fewest connections. `address`: a session's owner, and for a new client by its address. `none`:
            round robin. None means `sid`, or `address` with TLS, where the request head cannot be read.
        node_tag: at most 2 characters with which the node tags of all workers begin.
        ssl_certfile: certificate for TLS, a PEM file; plain HTTP without it.
        ssl_keyfile: private key, a PEM file. It may be left out if the certificate's file contains the key.
        trusted_proxies: addresses and networks whose X-Forwarded-For is trusted, separated by commas.
        reload: restart the workers when a Python file below the current folder changes.
        drain_s: seconds over which a stopping worker disconnects its clients (`ZMQIO_DRAIN_S` of the workers).
        head_limit_s: seconds that the head of a request may take; after that the connection is answered 408 and
            closed (`ZMQIO_HEAD_LIMIT_S` of the workers).
        max_head_bytes: largest head of a request; beyond that the connection is answered 431 and closed
            (`ZMQIO_MAX_HEAD_BYTES` of the workers).
        worker_timeout_s: seconds without a heartbeat after which a worker is killed and replaced: its process is
            stopped or its event loop is blocked. 0, or `reload`: never.
        metrics: address of the metrics for Prometheus: a port, host:port or unix:path; empty for none.
        access_log: whether the workers log each HTTP request, and each WebSocket when it opens and closes: client,
            method, path without the query, status, bytes and duration.
        log_format: `console`, `json`, or `auto`: `console` on a terminal, `json` otherwise.
        log_level: lowest level to log: `debug`, `info`, `warning` or `error`.
    """

    app: str
    workers: int | Literal["auto"] = "auto"
    acceptors: int | Literal["auto"] = "auto"
    bind: str = "127.0.0.1:8000"
    broker: str | None = None
    sticky: Sticky | None = None
    node_tag: str = ""
    ssl_certfile: str = ""
    ssl_keyfile: str = ""
    trusted_proxies: str = "127.0.0.1,::1"
    reload: bool = False
    drain_s: float = 0.0
    head_limit_s: float = HTTP_LIMITS.head_limit_s
    max_head_bytes: int = HTTP_LIMITS.max_head_bytes
    worker_timeout_s: float = 30.0
    metrics: str = ""
    access_log: bool = False
    log_format: str = "auto"
    log_level: str = "info"

    def __post_init__(self) -> None:
        check_app_name(self.app)
        parse_bind(self.bind)
        if self.metrics:
            parse_metrics_address(self.metrics)
            check_installed()
        TagSource(self.node_tag)
        TrustedProxies(self.trusted_proxies)
        if self.broker is not None:
            addresses_of(self.broker)
        for name in ("workers", "acceptors"):
            count = getattr(self, name)
            if count != "auto" and not (isinstance(count, int) and count > 0):
                raise ConfigError(f"{name}={count!r} must be 1 or more, or 'auto'")
        if self.log_level not in LEVELS:
            raise ConfigError(f"log_level={self.log_level!r} must be one of {', '.join(LEVELS)}")
        self._check_limits()
        self._check_sticky()

    @property
    def tls(self) -> bool:
        """Whether the workers serve TLS."""
        return bool(self.ssl_certfile)

    @property
    def stickiness(self) -> Sticky:
        """`sticky`, or its default: `address` with TLS, else `sid`."""
        return self.sticky or ("address" if self.tls else "sid")

    @property
    def stop_timeout_s(self) -> float:
        """Seconds between SIGTERM and SIGKILL for a worker."""
        return self.drain_s + STOP_MARGIN_S

    def _check_limits(self) -> None:
        if not 0 <= self.drain_s < math.inf:
            raise ConfigError(f"drain_s={self.drain_s!r} (--drain) must be 0 or a positive number of seconds")
        if not self.head_limit_s > 0:
            raise ConfigError(f"head_limit_s={self.head_limit_s!r} must be greater than 0")
        if not 256 <= self.max_head_bytes <= 1 << 20:
            raise ConfigError(f"max_head_bytes={self.max_head_bytes!r} must be between 256 and 1048576")
        if self.worker_timeout_s and not self.worker_timeout_s > STALLED_AFTER_S:
            raise ConfigError(
                f"worker_timeout_s={self.worker_timeout_s!r} must be greater than {STALLED_AFTER_S:g}, "
                "or 0 for no limit"
            )

    def _check_sticky(self) -> None:
        if self.sticky is not None and self.sticky not in get_args(Sticky):
            raise ConfigError(f"sticky={self.sticky!r} must be one of {', '.join(get_args(Sticky))}")
        if self.tls and self.sticky == "sid":
            raise ConfigError(
                "sticky='sid' cannot work with TLS, which hides the session id; use 'address' or 'none', or "
                "terminate TLS in a proxy such as nginx"
            )
        if self.ssl_keyfile and not self.ssl_certfile:
            raise ConfigError(f"ssl_keyfile={self.ssl_keyfile!r} needs ssl_certfile, too")


def worker_count(options: ServeOptions) -> int:
    """Number of workers; `auto` is 1 with `reload`, else one per core that this process may use."""
    if options.workers != "auto":
        return options.workers
    if options.reload:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def acceptor_count(options: ServeOptions) -> int:
    """Number of acceptors; `auto` is enough to keep even trivial workers busy."""
    if options.acceptors != "auto":
        return options.acceptors
    return math.ceil(worker_count(options) / WORKERS_PER_ACCEPTOR)


def check_tls(options: ServeOptions) -> None:
    """Check that the certificate and the key can be loaded, before every worker fails to.

    Raises:
        ConfigError: they cannot be loaded.
    """
    if not options.tls:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(options.ssl_certfile, options.ssl_keyfile or None)
    except (OSError, ssl.SSLError) as error:
        files = " and ".join(filter(None, [options.ssl_certfile, options.ssl_keyfile]))
        raise ConfigError(f"cannot load {files} for TLS: {error}") from error
