"""Credentials of NATS: files with a JWT and a seed, and signatures with them. Pure, apart from the nacl library.

A credentials file, such as `nsc generate creds` writes, has a user's JWT and the seed of the user's key between
lines of dashes. A file with a seed alone (`SU...`) is a plain nkey.

Source: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro; the encoding of keys is
that of github.com/nats-io/nkeys.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any

from zmqio.exceptions import ConfigError

__all__ = ["NatsUserKey", "read_user_key"]

PREFIX_USER = 20 << 3
SEED_BYTES = 32

_JWT = re.compile(r"-+BEGIN NATS USER JWT-+\s+(\S+)\s+-+END NATS USER JWT-+")
_SEED = re.compile(r"^\s*(SU[A-Z2-7]+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class NatsUserKey:
    """A user of NATS, who proves to have a key.

    Attributes:
        seed: 32 bytes of the Ed25519 key. Not shown.
        jwt: the user's JWT; empty for a plain nkey.
    """

    seed: bytes = field(repr=False)
    jwt: str = field(default="", repr=False)

    def connect_options(self, nonce: str) -> dict[str, Any]:
        """Return the options of CONNECT: the JWT or the public key, and the signature of the server's nonce.

        Raises:
            ConfigError: PyNaCl is not installed.
        """
        try:
            from nacl.signing import SigningKey
        except ImportError as error:
            raise ConfigError("NATS credentials need PyNaCl; run `pip install zmqio[nats]`") from error
        key = SigningKey(self.seed)
        signature = base64.urlsafe_b64encode(key.sign(nonce.encode()).signature).rstrip(b"=").decode()
        if self.jwt:
            return {"jwt": self.jwt, "sig": signature}
        return {"nkey": _encode(PREFIX_USER, bytes(key.verify_key)), "sig": signature}


def read_user_key(text: str) -> NatsUserKey:
    """Read a credentials file, or a file with a seed alone.

    Raises:
        ConfigError: it has no seed of a user, or a wrong one. The text shows nothing of the file.
    """
    seed = _SEED.search(text)
    if seed is None:
        raise ConfigError("the file has no seed of a NATS user, a line that begins with SU")
    jwt = _JWT.search(text)
    return NatsUserKey(_decode_seed(seed[1]), jwt[1] if jwt else "")


def _decode_seed(text: str) -> bytes:
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error as error:
        raise ConfigError("the seed of a NATS user in the file is not base32") from error
    if len(raw) != SEED_BYTES + 4 or raw[-2:] != _checksum(raw[:-2]):
        raise ConfigError("the seed of a NATS user in the file has a wrong length or a wrong checksum")
    return raw[2:-2]


def _encode(prefix: int, key: bytes) -> str:
    raw = bytes((prefix,)) + key
    return base64.b32encode(raw + _checksum(raw)).rstrip(b"=").decode()


def _checksum(data: bytes) -> bytes:
    """CRC-16 as XMODEM has it, the lower byte first."""
    return binascii.crc_hqx(data, 0).to_bytes(2, "little")
