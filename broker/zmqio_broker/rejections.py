"""The refusals of the serving threads since the last report: by peer and reason, with counts.

The threads only record; the main thread logs, so that a blocked log cannot block a serving thread.
"""

import threading
from dataclasses import dataclass

import zmq

__all__ = ["MAX_SUBJECTS", "PeerRejection", "Rejections", "peer_property"]

MAX_SUBJECTS = 20
"""Most lines of one report. An attacker can have any number of addresses and keys, so all further ones are counted
together."""
INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class PeerRejection:
    """A kind of refusal of one peer.

    Attributes:
        is_of_key: whether a connection was refused because of its key; otherwise a message was.
        peer: its public key or its address; empty for all beyond `MAX_SUBJECTS`.
        reason: why it was refused.
    """

    is_of_key: bool
    peer: str
    reason: str


class Rejections:
    """Counts refusals by peer until they are reported. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_peer: dict[tuple[bool, str], tuple[PeerRejection, int]] = {}
        self._due_s = 0.0

    def note(self, rejection: PeerRejection) -> None:
        """Count one refusal. Only the first reason of each peer is kept."""
        with self._lock:
            key = (rejection.is_of_key, rejection.peer)
            if key not in self._by_peer and len(self._by_peer) >= MAX_SUBJECTS:
                rejection, key = PeerRejection(rejection.is_of_key, "", "various"), (rejection.is_of_key, "")
            first, count = self._by_peer.get(key, (rejection, 0))
            self._by_peer[key] = (first, count + 1)

    def take(self, now_s: float) -> dict[PeerRejection, int]:
        """Return the counts since the last report; nothing if that was less than a second ago."""
        if now_s < self._due_s:
            return {}
        self._due_s = now_s + INTERVAL_S
        with self._lock:
            taken, self._by_peer = self._by_peer, {}
        return dict(taken.values())


def peer_property(frame: zmq.Frame, name: str) -> str:
    """Return a property of the peer that sent `frame`: "User-Id" or "Peer-Address"; empty if it has none."""
    try:
        return str(frame.get(name))
    except zmq.ZMQError:
        return ""
