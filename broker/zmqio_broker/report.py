"""What the main thread logs while the broker runs: counters that grew, at a bounded rate. Pure but for the log.

The threads that serve strangers only count. So rubbish makes at most one line of a kind in ten seconds, and a log
that nobody reads can stop no thread that serves.
"""

from collections.abc import Mapping
from typing import Any

import structlog

__all__ = ["REPORT_INTERVAL_S", "Reporter", "troubles"]

REPORT_INTERVAL_S = 10.0

Statistics = Mapping[str, Any]  # Any: the answer of the control endpoint, a msgpack map

log = structlog.get_logger(__name__)

# Where a disconnection can mean a message over the limit; nodes come to control for a moment and leave.
_SENDERS = ("publish", "ingest")
_HINTS = {
    "peers_rejected": "these ended before both ends had shaken hands: they do not speak ZeroMQ (ZMTP 3), use a "
    "socket type that does not fit, or gave up while this process was stopped or busy",
    "peers_not_accepted": "connections could not be accepted; is the limit of open files (ulimit -n) too low?",
    "control_requests_refused": "the answer told the sender what is wrong",
    "peers_left": "a stop or a lost connection; a sender of a message over --max-message-bytes is cut off too",
}


def troubles(statistics: Statistics) -> dict[tuple[str, str], int]:
    """The counters worth a line when they grow, by (event, role)."""
    found = {("control_requests_refused", "control"): int(statistics["control_refused"])}
    for role, counts in statistics["peers"].items():
        found["peers_rejected", role] = counts["rejected"]
        found["peers_not_accepted", role] = counts["not_accepted"]
        if role in _SENDERS:
            found["peers_left", role] = counts["left"]
    return found


class Reporter:
    """Logs what grew since it was last logged; at most one line per event and role in `REPORT_INTERVAL_S`.

    Args:
        stats_interval_s: seconds between two lines of statistics; 0 for none.
        now: seconds on a monotonic clock.
    """

    def __init__(self, stats_interval_s: float, now: float) -> None:
        self._stats_interval_s = stats_interval_s
        self._stats_due = now + stats_interval_s
        self._stats_told: tuple[int, ...] = ()
        self._told: dict[tuple[str, str], int] = {}
        self._quiet_until: dict[tuple[str, str], float] = {}

    def tick(self, statistics: Statistics, now: float) -> None:
        """Log what is due; to be called about every half second."""
        for key, total in troubles(statistics).items():
            self._trouble(key, total, statistics, now)
        if self._stats_interval_s and now >= self._stats_due:
            self._stats_due = now + self._stats_interval_s
            self._tell_statistics(statistics)

    def _trouble(self, key: tuple[str, str], total: int, statistics: Statistics, now: float) -> None:
        new = total - self._told.get(key, 0)
        if not new or now < self._quiet_until.get(key, now):
            return
        self._told[key] = total
        self._quiet_until[key] = now + REPORT_INTERVAL_S
        event, role = key
        facts: dict[str, object] = {"endpoint": role, "count": new, "total": total, "hint": _HINTS[event]}
        if event == "control_requests_refused":
            facts["last"] = statistics["control_last_refusal"]
        (log.info if event == "peers_left" else log.warning)(event, **facts)

    def _tell_statistics(self, statistics: Statistics) -> None:
        moved = (statistics["frames_in"], statistics["subscription_changes"])
        if moved == self._stats_told:
            return
        self._stats_told = moved
        told = (
            "frames_in",
            "bytes_in",
            "frames_out",
            "bytes_out",
            "ingest_frames",
            "subscription_changes",
            "uptime_s",
        )
        log.info(
            "broker_statistics",
            **{name: statistics[name] for name in told},
            connected={role: counts["connected"] for role, counts in statistics["peers"].items()},
        )
