"""Keys of a broker: requires them on its endpoints, and decides about connections."""

import ipaddress
from pathlib import Path

import structlog
import zmq

from zmqio_broker.authenticator import NODE_DOMAIN, SENDER_DOMAIN, ZAP_ADDRESS, Authenticator
from zmqio_broker.keys import KeyFileError, load_key_ring, load_secret
from zmqio_broker.rejections import Rejections
from zmqio_broker.threads import SocketThread

__all__ = ["SEALED_BYTES", "Security", "is_private"]

SEALED_BYTES = 33
"""Bytes that encryption adds to a frame. Source: rfc.zeromq.org/spec/26."""
_DOMAINS = {"control": SENDER_DOMAIN, "ingest": SENDER_DOMAIN}

log = structlog.get_logger(__name__)


class Security:
    """Requires keys on every endpoint of one broker.

    Args:
        secret: the broker's secret key file.
        nodes: folder of the public key files of nodes.
        senders: folder of the public key files of outside senders, or None.

    Attributes:
        public_key: the broker's public key, in Z85.
        ring: the keys that may connect.

    Raises:
        KeyFileError: a file or folder cannot be used.
    """

    def __init__(self, secret: Path, nodes: Path, senders: Path | None) -> None:
        self._nodes = nodes
        self._senders = senders
        self.ring = load_key_ring(nodes, senders)
        public, self._secret = load_secret(secret)
        self.public_key = public.decode()
        self._authenticator: Authenticator | None = None

    @property
    def rejected(self) -> int:
        """Number of connections rejected because of their key."""
        return 0 if self._authenticator is None else self._authenticator.rejected

    def authenticator_thread(
        self, context: zmq.Context[zmq.Socket[bytes]], rejections: Rejections
    ) -> SocketThread:
        """Make the thread that decides about connections. Start it before an endpoint is bound."""
        socket = context.socket(zmq.REP)
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(ZAP_ADDRESS)
        self._authenticator = Authenticator(socket, self.ring, rejections)
        return SocketThread("keys", self._authenticator.run, [socket])

    def secure(self, role: str, socket: zmq.Socket[bytes]) -> None:
        """Require a key of every peer of `socket`. Call it before binding."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAINS.get(role, NODE_DOMAIN))
        limit = socket.getsockopt(zmq.MAXMSGSIZE)
        assert isinstance(limit, int)
        socket.setsockopt(zmq.MAXMSGSIZE, limit + SEALED_BYTES)

    def reload(self) -> None:
        """Read the folders of keys again; if a file is invalid, nothing changes.

        Connections that exist stay, also those with a key that was removed: libzmq cannot end them.
        """
        try:
            ring = load_key_ring(self._nodes, self._senders)
        except KeyFileError as error:
            log.warning("keys_not_reloaded", reason=str(error), hint="the keys that were read before stay valid")
            return
        self.ring = ring
        if self._authenticator is not None:
            self._authenticator.ring = ring
        log.info("keys_reloaded", nodes=len(ring.nodes), senders=len(ring.senders))


def is_private(address: str) -> bool:
    """Whether only processes on this machine can reach a base address: ipc, or tcp on the loopback interface."""
    scheme, _, rest = address.partition("://")
    host = rest.rpartition(":")[0].strip("[]")
    if scheme == "ipc" or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
