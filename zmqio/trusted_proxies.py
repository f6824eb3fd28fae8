"""Proxies whose X-Forwarded-* headers are believed, and the client address that they forward. Pure.

The rule is uvicorn's. Uvicorn gets the same list, so the balancer and the application see the same client. At most
`MAX_FORWARDED_ADDRESSES` are read; the worker rejects a request with more.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from zmqio.exceptions import ConfigError

__all__ = ["MAX_FORWARDED_ADDRESSES", "TrustedProxies"]

MAX_FORWARDED_ADDRESSES = 100
"""Most addresses in the X-Forwarded-For headers of one request; no chain of proxies is that long."""

_Address = IPv4Address | IPv6Address


class TrustedProxies:
    """Proxies whose X-Forwarded-* headers are believed.

    Args:
        text: addresses and networks separated by commas, for example "127.0.0.1,10.0.0.0/8". `*` trusts every
            peer, including one on a unix socket, which has no address. An empty text trusts none.

    Raises:
        ConfigError: an entry is neither an address nor a network.
    """

    def __init__(self, text: str) -> None:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        self._trusts_all = "*" in parts
        self._networks = [_network(part) for part in parts if part != "*"]

    def trusts(self, peer: str | None) -> bool:
        """Whether the peer of a connection is a trusted proxy; None is a peer on a unix socket."""
        return self._trusts(_parse(peer))

    def client_address(self, peer: str | None, forwarded_for: Sequence[str]) -> str | None:
        """Return the address of the client.

        Args:
            peer: address of the connection's peer; None on a unix socket.
            forwarded_for: values of the X-Forwarded-For headers, in order.

        Returns:
            the rightmost address that is not a trusted proxy; the leftmost if all are trusted; `peer` if the peer
            is not trusted or sent no valid address.
        """
        if not forwarded_for or not self._trusts(_parse(peer)):
            return peer
        if self._trusts_all:
            first = _parse(forwarded_for[0].partition(",")[0])
            return peer if first is None else str(first)
        client = peer
        chain = ",".join(forwarded_for).rsplit(",", MAX_FORWARDED_ADDRESSES)
        for address in map(_parse, reversed(chain[-MAX_FORWARDED_ADDRESSES:])):
            if address is None:
                break  # no trusted proxy wrote the entries to the left of an invalid one
            client = str(address)
            if not self._trusts(address):
                break
        return client

    def _trusts(self, address: _Address | None) -> bool:
        if self._trusts_all:
            return True
        return address is not None and any(address in network for network in self._networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ConfigError(
            f"trusted proxy {text!r} must be an address (127.0.0.1), a network (10.0.0.0/8) or *"
        ) from None


def _parse(text: str | None) -> _Address | None:
    """Parse an address, with or without the port that some proxies append; None for anything else."""
    text = (text or "").strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
