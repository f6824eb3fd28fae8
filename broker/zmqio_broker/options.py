"""Options of the broker: frozen, with units in their names, checked when they are made."""

from dataclasses import dataclass

__all__ = ["DEFAULT_BIND", "BrokerOptions"]

DEFAULT_BIND = "tcp://127.0.0.1:5555"


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """What can be set on a broker.

    Attributes:
        bind: base address of the four endpoints; see `Endpoints.from_base`.
        node_queue_messages: most messages that wait for one node that reads too slowly; beyond it messages to
            that node are dropped (it notices by their numbers and asks the publishers again).
        ingest_queue_messages: most messages that wait in the broker from one outside sender; beyond it that
            sender is read more slowly, so that its own queue fills and tells it.
        max_message_bytes: largest frame on publish, subscribe and ingest; a larger one disconnects its sender.
        stats_interval_s: seconds between two lines of statistics; 0 for none. No line when nothing moved.
    """

    bind: str = DEFAULT_BIND
    node_queue_messages: int = 20_000
    ingest_queue_messages: int = 1_000
    max_message_bytes: int = 8 << 20
    stats_interval_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("node_queue_messages", "ingest_queue_messages", "max_message_bytes"):
            if getattr(self, name) < 1:
                # ZeroMQ reads 0 as "no limit", and every queue here has one.
                raise ValueError(f"{name}={getattr(self, name)!r} has to be at least 1")
        if self.stats_interval_s < 0:
            raise ValueError(f"stats_interval_s={self.stats_interval_s!r} must not be negative")
