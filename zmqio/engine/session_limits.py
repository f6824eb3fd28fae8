"""Limits on the number of open sessions: of the node, and of one address. Pure.

An IPv6 client usually has a whole /64 network, so all addresses of such a network count as one.
"""

import ipaddress
from collections import Counter

from zmqio.config import EngineOptions
from zmqio.engine.handshake import BAD_REQUEST, Refusal
from zmqio.ids import EngineSid

__all__ = ["SessionLimits"]

STATUS = 503


class SessionLimits:
    """Counts the open sessions, by address if `max_sessions_per_address` is set.

    Args:
        options: `max_sessions` and `max_sessions_per_address`.
    """

    def __init__(self, options: EngineOptions) -> None:
        self._max_sessions = options.max_sessions
        self._max_per_address = options.max_sessions_per_address
        self._open = 0
        self._by_network: Counter[str] = Counter()
        self._networks: dict[EngineSid, str] = {}

    def refuse(self, address: str) -> Refusal | None:
        """The answer to a client at `address` that may not open one more session; None if it may."""
        if self._open >= self._max_sessions:
            return _refusal("this server has", self._max_sessions, "max_sessions")
        limit = self._max_per_address
        if limit is not None and address and self._by_network[network_of(address)] >= limit:
            return _refusal("this address has", limit, "max_sessions_per_address")
        return None

    def opened(self, sid: EngineSid, address: str) -> None:
        """Count a session. An unknown address, `""`, has no limit of its own."""
        self._open += 1
        if self._max_per_address is not None and address:
            network = self._networks[sid] = network_of(address)
            self._by_network[network] += 1

    def closed(self, sid: EngineSid) -> None:
        """Stop counting a session that was counted."""
        self._open -= 1
        network = self._networks.pop(sid, None)
        if network is not None:
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]


def network_of(address: str) -> str:
    """The part of an address that identifies one client."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return parsed.packed[:8].hex()


def _refusal(subject: str, limit: int, option: str) -> Refusal:
    message = f"Too many sessions: {subject} {limit} ({option}); try again later"
    return Refusal(BAD_REQUEST.code, message, STATUS, (("option", option),))
