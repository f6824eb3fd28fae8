"""Broker options: frozen, with units in their names, checked on construction."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["DEFAULT_BIND", "BrokerOptions"]

DEFAULT_BIND = "tcp://127.0.0.1:5555"
ENCRYPTED_SIZE = 2.25
"""Factor of the limit with keys. Encryption adds 33 bytes to a subscription: one to a room with a name of 15
characters has 62 bytes, not 29 (2.14 times). The factor suffices for names of 13 characters or more."""


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """The options of one broker.

    Attributes:
        bind: base address of the four endpoints; see `BrokerEndpoints.from_base`.
        node_queue_messages: most messages queued for one node that reads too slowly. Beyond that, messages to the
            node are dropped; the node detects the gap by sequence numbers and requests them from their publishers.
        node_queue_bytes: most bytes queued for one node over TCP, estimated from the kernel's counters. Beyond
            that, the node is disconnected; it connects again and requests the messages that it missed.
        subscription_bytes: most bytes of subscriptions that one node sends at once over TCP; twice as many each
            second. With keys they are encrypted, and may be 2.25 times as large. Beyond that, the node is
            disconnected; nodes of zmqio send no faster. All nodes together may subscribe to topics of 16 times
            as many bytes.
        ingest_queue_messages: most messages queued from one outside sender. Beyond that, the broker reads from the
            sender more slowly, so that the sender's own queue fills.
        max_message_bytes: largest frame on publish, subscribe and ingest. The sender of a larger one is
            disconnected.
        curve_secret: secret key file of the broker; None for a broker without keys.
        node_keys: folder of the public key files of nodes; required with `curve_secret`.
        sender_keys: folder of the public key files of outside senders; None for no senders but nodes.
        stats_interval_s: seconds between two log lines of statistics; 0 disables them. A line is skipped if no
            counter changed.
    """

    bind: str = DEFAULT_BIND
    node_queue_messages: int = 20_000
    node_queue_bytes: int = 128 << 20
    subscription_bytes: int = 3 << 19
    ingest_queue_messages: int = 1_000
    max_message_bytes: int = 8 << 20
    stats_interval_s: float = 0.0
    curve_secret: Path | None = None
    node_keys: Path | None = None
    sender_keys: Path | None = None

    def __post_init__(self) -> None:
        for name in (
            "node_queue_messages",
            "node_queue_bytes",
            "subscription_bytes",
            "ingest_queue_messages",
            "max_message_bytes",
        ):
            if getattr(self, name) < 1:
                # ZeroMQ treats 0 as "no limit", and every queue here has a limit.
                raise ValueError(f"{name}={getattr(self, name)!r} must be at least 1")
        if (self.curve_secret is None) != (self.node_keys is None) or (self.sender_keys and not self.node_keys):
            raise ValueError("keys need both curve_secret and node_keys; sender_keys is for a broker with keys")
        if self.stats_interval_s < 0:
            raise ValueError(f"stats_interval_s={self.stats_interval_s!r} must not be negative")

    @property
    def sent_subscription_bytes(self) -> int:
        """Most bytes of subscriptions that one node sends at once, encrypted if there are keys."""
        return int(self.subscription_bytes * (1 if self.curve_secret is None else ENCRYPTED_SIZE))
