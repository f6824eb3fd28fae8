"""The mechanism CURVE of ZMTP at the end that connects: both ends prove that they have their keys, and encrypt.

Both ends have a long-term key pair, and make a short-term pair for each connection. The peer proves in WELCOME
that it has the secret of `server_key`; this end proves in INITIATE that it has its own. After that, every frame is
numbered, and encrypted with the short-term keys.

command    data after the name (bytes)                                               encrypted from, to
HELLO      version 2, zeros 72, C' 32, number 8, box of 64 zeros                     C' to S
WELCOME    nonce 16, box of S' 32 and a cookie 96                                    S to C'
INITIATE   cookie 96, number 8, box of C 32, nonce 16, vouch 80, metadata            C' to S'
           vouch: box of C' and S                                                    C to S'
READY      number 8, box of metadata                                                 S' to C'
MESSAGE    number 8, box of flags 1 and the frame                                    both ways

(C and S: the long-term keys of this end and of the peer; C' and S': the short-term ones.) Needs PyNaCl, the extra
`zmqio[curve]`.

Source: rfc.zeromq.org/spec/26 (CurveZMQ) and /spec/25 (ZMTP-CURVE).
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from nacl.bindings import crypto_box, crypto_box_beforenm, crypto_box_keypair, crypto_box_open
from nacl.exceptions import CryptoError

from zmqio.exceptions import ZmtpError
from zmqio.protocol.mechanism import SHOWN_BYTES, SocketType, check_peer, command_body, metadata
from zmqio.protocol.secret_box import SecretBox, make_secret_box

__all__ = ["CurveKeys", "CurveMechanism"]

KEY_BYTES = 32
_MESSAGE = b"\x07MESSAGE"
_WELCOME_BYTES = 16 + 16 + KEY_BYTES + 96
_VERSION = b"\x01\x00"
_NUMBER_BYTES = 8
_BOX_BYTES = 16
"""Bytes of a box besides its content."""
_FLAGS = tuple(bytes((flags,)) for flags in range(4))
_SEAL_PREFIX, _OPEN_PREFIX = b"CurveZMQMESSAGEC", b"CurveZMQMESSAGES"


@dataclass(frozen=True, slots=True)
class CurveKeys:
    """The keys of this end, 32 bytes each.

    Attributes:
        server_key: public key of the peer.
        public_key: public key of this end.
        secret_key: secret key of this end.
        public_text: `public_key` as people read it (Z85), for error messages.
    """

    server_key: bytes
    public_key: bytes
    secret_key: bytes = field(repr=False)
    public_text: str = ""


class CurveMechanism:
    """CURVE for one connection.

    Args:
        socket_type: socket type of this end.
        keys: the long-term keys.
        make_pair: makes the short-term key pair, public key first.
    """

    name = b"CURVE"
    encrypts = True
    sealing_bytes = len(_MESSAGE) + _NUMBER_BYTES + _BOX_BYTES + len(_FLAGS[0])

    def __init__(
        self,
        socket_type: SocketType,
        keys: CurveKeys,
        make_pair: Callable[[], tuple[bytes, bytes]] = crypto_box_keypair,
    ) -> None:
        self.is_ready = False
        self._type = socket_type
        self._keys = keys
        self._public, self._secret = make_pair()
        self._box: SecretBox | None = None  # its key is known after WELCOME
        self._sent = 0
        self._received = bytes(_NUMBER_BYTES)

    def begin(self) -> bytes:
        """Return the HELLO command."""
        number = self._next_number()
        box = crypto_box(bytes(64), b"CurveZMQHELLO---" + number, self._keys.server_key, self._secret)
        return command_body(b"HELLO", _VERSION + bytes(72) + self._public + number + box)

    def answer(self, name: bytes, data: bytes) -> bytes:
        """Answer WELCOME with INITIATE, and check READY."""
        if name == b"WELCOME" and self._box is None:
            return self._initiate(data)
        if name == b"READY" and self._box is not None:
            self._check_ready(data, self._box)
            return b""
        raise ZmtpError(f"sent the command {name[:SHOWN_BYTES]!r} out of turn in the CURVE handshake")

    def seal(self, flags: int, body: bytes) -> bytes:
        """Encrypt a frame as a MESSAGE."""
        assert self._box is not None, "after the handshake"
        number = self._next_number()
        return _MESSAGE + number + self._box.seal(_FLAGS[flags] + body, _SEAL_PREFIX + number)

    def open(self, body: bytes) -> tuple[int, bytes]:
        """Decrypt a MESSAGE, whose number must be higher than the last one."""
        assert self._box is not None, "after the handshake"
        number = body[8:16]
        # Of equal length and big-endian, so that they compare as numbers do.
        if body[:8] != _MESSAGE or number <= self._received:
            raise ZmtpError("sent a frame that is not an encrypted message, or repeats one")
        try:
            plain = self._box.open(body[16:], _OPEN_PREFIX + number)
        except CryptoError as error:
            raise ZmtpError("sent a frame that is not encrypted with the keys of this connection") from error
        if not plain:
            raise ZmtpError("sent an encrypted frame without flags")
        self._received = number
        return plain[0], plain[1:]

    def describe_mismatch(self, mechanism: bytes) -> str:
        """Explain that the peer requires another mechanism, and what to do."""
        if mechanism == b"NULL":
            return (
                "does not use keys (its mechanism is NULL), and this process requires them: start the broker with "
                "--curve-secret, or remove `curve` and ZMQIO_CURVE_SERVER_KEY here"
            )
        return f"requires the mechanism {mechanism!r}; this process requires CURVE"

    def describe_refusal(self, reason: bytes) -> str:
        """Explain the status code in an ERROR command. Source: rfc.zeromq.org/spec/27 (ZAP)."""
        if reason == b"400":
            return (
                f"does not know the key of this process (public key {self._keys.public_text}): put its public key "
                "file into the broker's folder of keys and send the broker SIGHUP"
            )
        return f"refused the connection with the status {reason.decode('latin-1')!r}"

    def describe_hangup(self) -> str:
        """Explain a connection that the peer has closed during the handshake."""
        if self._box is not None:
            return "the peer closed the connection in the CURVE handshake: it does not accept this process's keys"
        return (
            "the peer closed the connection at the start of the CURVE handshake: it is not a broker with keys, or "
            "`server_key` (ZMQIO_CURVE_SERVER_KEY) is not its public key"
        )

    def _initiate(self, welcome: bytes) -> bytes:
        nonce, box = welcome[:16], welcome[16:]
        if len(welcome) != _WELCOME_BYTES:
            raise ZmtpError(f"sent a WELCOME command of {len(welcome)} bytes; it has {_WELCOME_BYTES}")
        try:
            plain = crypto_box_open(box, b"WELCOME-" + nonce, self._keys.server_key, self._secret)
            peer, cookie = plain[:KEY_BYTES], plain[KEY_BYTES:]
            self._box = make_secret_box(crypto_box_beforenm(peer, self._secret))
        except CryptoError as error:
            raise ZmtpError("does not have the secret of `server_key` (ZMQIO_CURVE_SERVER_KEY)") from error
        number = self._next_number()
        proof = self._keys.public_key + self._vouch(peer) + metadata(self._type)
        box = self._box.seal(proof, b"CurveZMQINITIATE" + number)
        return command_body(b"INITIATE", cookie + number + box)

    def _vouch(self, peer: bytes) -> bytes:
        """Prove to the peer's short-term key that this end's short-term key belongs to its long-term key."""
        nonce = secrets.token_bytes(16)
        box = crypto_box(self._public + self._keys.server_key, b"VOUCH---" + nonce, peer, self._keys.secret_key)
        return nonce + box

    def _check_ready(self, data: bytes, box: SecretBox) -> None:
        number, sealed = data[:_NUMBER_BYTES], data[_NUMBER_BYTES:]
        try:
            plain = box.open(sealed, b"CurveZMQREADY---" + number)
        except CryptoError as error:
            raise ZmtpError(
                "sent a READY command that is not encrypted with the keys of this connection"
            ) from error
        check_peer(self._type, plain)
        self._received = number
        self.is_ready = True

    def _next_number(self) -> bytes:
        self._sent += 1
        return self._sent.to_bytes(_NUMBER_BYTES, "big")
