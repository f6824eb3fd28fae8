"""Broker options: frozen, with units in their names, checked on construction."""

from dataclasses import dataclass

__all__ = ["DEFAULT_BIND", "BrokerOptions"]

DEFAULT_BIND = "tcp://127.0.0.1:5555"


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """The options of one broker.

    Attributes:
        bind: base address of the four endpoints; see `BrokerEndpoints.from_base`.
        node_queue_messages: most messages queued for one node that reads too slowly. Beyond that, messages to the
            node are dropped; the node detects the gap by sequence numbers and requests them from their publishers.
        ingest_queue_messages: most messages queued from one outside sender. Beyond that, the broker reads from the
            sender more slowly, so that the sender's own queue fills.
        max_message_bytes: largest frame on publish, subscribe and ingest. The sender of a larger one is
            disconnected.
        stats_interval_s: seconds between two log lines of statistics; 0 disables them. A line is skipped if no
            counter changed.
    """

    bind: str = DEFAULT_BIND
    node_queue_messages: int = 20_000
    ingest_queue_messages: int = 1_000
    max_message_bytes: int = 8 << 20
    stats_interval_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("node_queue_messages", "ingest_queue_messages", "max_message_bytes"):
            if getattr(self, name) < 1:
                # ZeroMQ treats 0 as "no limit", and every queue here has a limit.
                raise ValueError(f"{name}={getattr(self, name)!r} must be at least 1")
        if self.stats_interval_s < 0:
            raise ValueError(f"stats_interval_s={self.stats_interval_s!r} must not be negative")
