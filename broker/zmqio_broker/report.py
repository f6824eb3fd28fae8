"""Log lines of the running broker: counters that grew, at a limited rate. Pure, except for the log.

The threads that serve connections only count; the main thread logs the counts. Malformed input therefore causes at
most one line of each kind in ten seconds, and a blocked log cannot block a serving thread.
"""

from collections.abc import Mapping
from typing import Any

import structlog

from zmqio_broker.rejections import PeerRejection

__all__ = ["REPORT_INTERVAL_S", "Reporter", "report_rejections", "reported_counters"]

REPORT_INTERVAL_S = 10.0

Statistics = Mapping[str, Any]  # Any: the response of the control endpoint, a msgpack map

log = structlog.get_logger(__name__)

# On these endpoints a disconnect may mean a message over the limit. On control, nodes connect only briefly.
_SENDER_ROLES = ("publish", "ingest")
_EVENTS = {  # event -> level, hint
    "peers_rejected": (
        "warning",
        "these connections ended before the handshake: the peer does not speak ZeroMQ (ZMTP 3), uses a socket "
        "type that does not fit, or gave up while this process was busy or suspended",
    ),
    "accept_failed": (
        "warning",
        "connections were not accepted, or closed at once, to keep some descriptors free; check the limit of open "
        "files (ulimit -n)",
    ),
    "control_requests_rejected": ("warning", "the response to each sender names the fault"),
    "peers_disconnected": (
        "info",
        "a peer stopped, its connection was lost, or it sent a message over --max-message-bytes",
    ),
}
_LOGGED_STATISTICS = (
    "frames_in",
    "bytes_in",
    "frames_out",
    "bytes_out",
    "ingest_frames",
    "subscription_changes",
    "uptime_s",
)


_KEY_HINT = (
    "put the public key file of a node into the folder of --node-keys, that of an outside sender into the folder "
    "of --sender-keys, and send this process SIGHUP"
)
_REQUEST_HINT = (
    "the ingest endpoint takes publish requests only: one frame with the topic of a namespace, room or session, "
    "then a JSON object or a msgpack map"
)


def report_rejections(rejections: Mapping[PeerRejection, int]) -> None:
    """Log what was refused: one line for each event and peer."""
    for rejection, count in rejections.items():
        facts = {"peer": rejection.peer or "several", "reason": rejection.reason, "count": count}
        if rejection.is_of_key:
            log.warning("key_rejected", **facts, hint=_KEY_HINT)
        else:
            log.warning("ingest_message_refused", **facts, hint=_REQUEST_HINT)


def reported_counters(statistics: Statistics) -> dict[tuple[str, str], int]:
    """Return the counters that are logged when they grow, by (event, role)."""
    counters = {("control_requests_rejected", "control"): int(statistics["control_rejections"])}
    for role, counts in statistics["peers"].items():
        counters["peers_rejected", role] = counts["rejections"]
        counters["accept_failed", role] = counts["accept_failures"]
        if role in _SENDER_ROLES:
            counters["peers_disconnected", role] = counts["disconnects"]
    return counters


class Reporter:
    """Logs counters that grew; at most one line per event and role in `REPORT_INTERVAL_S`.

    Args:
        stats_interval_s: seconds between two lines of statistics; 0 for none.
        now: seconds on a monotonic clock.
    """

    def __init__(self, stats_interval_s: float, now: float) -> None:
        self._stats_interval_s = stats_interval_s
        self._stats_due = now + stats_interval_s
        self._stats_logged: tuple[int, ...] = ()
        self._logged: dict[tuple[str, str], int] = {}
        self._quiet_until: dict[tuple[str, str], float] = {}

    def tick(self, statistics: Statistics, now: float) -> None:
        """Log whatever is due. Call this about every half second."""
        for key, total in reported_counters(statistics).items():
            self._log_growth(key, total, statistics, now)
        if self._stats_interval_s and now >= self._stats_due:
            self._stats_due = now + self._stats_interval_s
            self._log_statistics(statistics)

    def _log_growth(self, key: tuple[str, str], total: int, statistics: Statistics, now: float) -> None:
        growth = total - self._logged.get(key, 0)
        if not growth or now < self._quiet_until.get(key, now):
            return
        self._logged[key] = total
        self._quiet_until[key] = now + REPORT_INTERVAL_S
        event, role = key
        level, hint = _EVENTS[event]
        facts: dict[str, object] = {"endpoint": role, "count": growth, "total": total, "hint": hint}
        if event == "control_requests_rejected":
            facts["reason"] = statistics["control_last_rejection"]
        getattr(log, level)(event, **facts)

    def _log_statistics(self, statistics: Statistics) -> None:
        current = (statistics["frames_in"], statistics["subscription_changes"])
        if current == self._stats_logged:
            return
        self._stats_logged = current
        log.info(
            "statistics_reported",
            **{name: statistics[name] for name in _LOGGED_STATISTICS},
            connected={role: counts["connected"] for role, counts in statistics["peers"].items()},
        )
