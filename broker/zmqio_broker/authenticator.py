"""Answers libzmq's requests whether a key may connect to an endpoint (ZAP).

Not `zmq.auth.ThreadAuthenticator`: its callback does not get the address of the peer, and it runs an event loop.

Source: rfc.zeromq.org/spec/27 (ZAP 1.0).
"""

import zmq
from zmq.utils import z85

from zmqio_broker.keys import KeyRing
from zmqio_broker.rejections import PeerRejection, Rejections

__all__ = ["NODE_DOMAIN", "SENDER_DOMAIN", "ZAP_ADDRESS", "Authenticator"]

ZAP_ADDRESS = "inproc://zeromq.zap.01"
"""The address of the handler for libzmq. Fixed by ZAP."""
NODE_DOMAIN, SENDER_DOMAIN = b"zmqio.nodes", b"zmqio.senders"
_REQUEST_FRAMES = 7
_VERSION, _MECHANISM = b"1.0", b"CURVE"


class Authenticator:
    """Decides about connections: nodes may connect anywhere, senders only in `SENDER_DOMAIN`.

    Args:
        socket: a REP socket bound to `ZAP_ADDRESS`.
        ring: the keys that may connect.
        rejections: records the keys that may not.

    Attributes:
        ring: replace it to use other keys for new connections.
        rejected: connections rejected because of their key.
    """

    def __init__(self, socket: zmq.Socket[bytes], ring: KeyRing, rejections: Rejections) -> None:
        self.ring = ring
        self.rejected = 0
        self._socket = socket
        self._rejections = rejections

    def run(self) -> None:
        """Serve until the context is terminated."""
        while True:
            self._socket.send_multipart(self.answer(self._socket.recv_multipart()))

    def answer(self, request: list[bytes]) -> list[bytes]:
        """Return the response to one request; its user id is the public key in Z85."""
        if len(request) != _REQUEST_FRAMES or request[0] != _VERSION or request[5] != _MECHANISM:
            return _response(request[1] if len(request) > 1 else b"", b"400", b"malformed request")
        _, request_id, domain, address, _, _, raw_key = request
        key = z85.encode(raw_key)
        if key in self.ring.nodes or (domain == SENDER_DOMAIN and key in self.ring.senders):
            return _response(request_id, b"200", b"OK", key)
        self.rejected += 1
        is_sender = key in self.ring.senders
        reason = "a sender's key may only publish to the ingest endpoint" if is_sender else "unknown key"
        peer = f"{key.decode()} from {address.decode(errors='replace')}"
        self._rejections.note(PeerRejection(True, peer, reason))
        return _response(request_id, b"400", reason.encode())


def _response(request_id: bytes, status: bytes, text: bytes, user_id: bytes = b"") -> list[bytes]:
    return [_VERSION, request_id, status, text, user_id, b""]
