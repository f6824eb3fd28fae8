"""Options of `zmqio serve`: frozen, with units in their names, checked when they are made."""

import math
import os
import ssl
from dataclasses import dataclass
from typing import Literal, get_args

from zmqio.config import split_addresses
from zmqio.exceptions import ConfigError
from zmqio.launcher.app_import import check_app_name
from zmqio.launcher.listener import parse_bind
from zmqio.launcher.routing.trusted_proxies import TrustedProxies
from zmqio.launcher.routing.worker_choice import Sticky
from zmqio.launcher.tags import TagSource
from zmqio.logs import LEVELS

__all__ = ["ServeOptions", "acceptor_count", "check_tls", "worker_count"]

STOP_MARGIN_S = 20.0
"""What a worker may take to end beyond its drain: 5 s each for open requests, handlers and uvicorn, and some."""
WORKERS_OF_AN_ACCEPTOR = 2
"""To accept, look at and pass a connection takes 25-50 us of CPU; a worker that does no more for it than answer
one small GET takes 90-150. So one acceptor feeds three workers whatever they do (`tests.bench.balancer`); it has
two, because the kernel spreads connections over acceptors by chance."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `zmqio serve` was asked for.

    Attributes:
        app: the ASGI app as module:attribute.
        workers: how many worker processes, or `auto` for one per processor core that this process may use.
        acceptors: how many processes accept connections and pass them to workers, or `auto` for one per two
            workers begun. One is the parent itself; more are processes of their own.
        bind: host:port or unix:path.
        broker: address of a broker to join; None starts one of its own, on a private ipc path.
        sticky: how a worker is chosen (see `Choice`); None is `sid`, and `address` with TLS, where the head of a
            request cannot be read.
        node_tag: at most 2 characters that the node tags of all workers begin with.
        ssl_certfile, ssl_keyfile: PEM files; without them plain HTTP. The key may be in the certificate's file.
        trusted_proxies: addresses and networks whose X-Forwarded-For is believed, separated by commas.
        reload: restart the workers when a Python file below the current folder changes.
        drain_s: seconds over which a worker that stops disconnects its clients (`ZMQIO_DRAIN_S` of the workers).
        head_limit_s: seconds that the head of a connection's first request may take; then it is cut off.
        log_format, log_level: as of the `zmqio` command.
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
    head_limit_s: float = 10.0
    log_format: str = "auto"
    log_level: str = "info"

    def __post_init__(self) -> None:
        check_app_name(self.app)
        parse_bind(self.bind)
        TagSource(self.node_tag)
        TrustedProxies(self.trusted_proxies)
        if self.broker is not None:
            split_addresses(self.broker)
        for name in ("workers", "acceptors"):
            count = getattr(self, name)
            if count != "auto" and not (isinstance(count, int) and count > 0):
                raise ConfigError(f"{name}={count!r} has to be 1 or more, or 'auto'")
        if self.drain_s < 0 or not self.head_limit_s > 0:
            raise ConfigError(f"drain_s={self.drain_s!r}, head_limit_s={self.head_limit_s!r}: not below 0")
        if self.log_level not in LEVELS:
            raise ConfigError(f"log_level={self.log_level!r} is not one of {', '.join(LEVELS)}")
        self._check_sticky()

    @property
    def tls(self) -> bool:
        """Whether the workers speak TLS."""
        return bool(self.ssl_certfile)

    @property
    def stickiness(self) -> Sticky:
        """`sticky`, or what it is when nothing was said."""
        return self.sticky or ("address" if self.tls else "sid")

    @property
    def stop_limit_s(self) -> float:
        """Seconds after which a worker that was told to stop is killed."""
        return self.drain_s + STOP_MARGIN_S

    def _check_sticky(self) -> None:
        if self.sticky is not None and self.sticky not in get_args(Sticky):
            raise ConfigError(f"sticky={self.sticky!r} is not one of {', '.join(get_args(Sticky))}")
        if self.tls and self.sticky == "sid":
            raise ConfigError(
                "sticky='sid' with TLS: the session id is inside the encrypted request; use 'address' or 'none', "
                "or end TLS in front (nginx)"
            )
        if self.ssl_keyfile and not self.ssl_certfile:
            raise ConfigError("ssl_keyfile without ssl_certfile: give both")


def worker_count(options: ServeOptions) -> int:
    """How many workers; `auto` is one while reloading, else one per core that this process may use."""
    if options.workers != "auto":
        return options.workers
    if options.reload:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def acceptor_count(options: ServeOptions) -> int:
    """How many acceptors; `auto` is as many as keep trivial workers busy."""
    if options.acceptors != "auto":
        return options.acceptors
    return math.ceil(worker_count(options) / WORKERS_OF_AN_ACCEPTOR)


def check_tls(options: ServeOptions) -> None:
    """Try whether certificate and key can be used, so that not every worker fails with them.

    Raises:
        ConfigError: they cannot.
    """
    if not options.tls:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(options.ssl_certfile, options.ssl_keyfile or None)
    except (OSError, ssl.SSLError) as error:
        files = " and ".join(filter(None, [options.ssl_certfile, options.ssl_keyfile]))
        raise ConfigError(f"{files} cannot be used for TLS: {error}") from error
