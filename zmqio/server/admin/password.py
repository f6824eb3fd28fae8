"""Hashes of the admin page's password: made by `zmqio admin-password`, checked at each login.

A hash is the text `scrypt:15:8:1:SALT:KEY` with the cost (the logarithm of N, r and p) and base64 without padding.
It has no character that a shell changes. Source: RFC 7914; OWASP Password Storage Cheat Sheet for the cost.
"""

import binascii
import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from zmqio.exceptions import ConfigError

__all__ = ["MIN_PASSWORD_LENGTH", "PasswordHash", "derive_key", "hash_password"]

MIN_PASSWORD_LENGTH = 8
LOG_N, R, P = 15, 8, 3
"""32 MiB of memory and about 0.2 s for each check. Source: OWASP, one of its equivalent choices for scrypt."""
MAX_LOG_N, MAX_R, MAX_P = 20, 16, 16
"""Highest cost that is accepted: 2 GiB of memory."""
SALT_BYTES = 16
KEY_BYTES = 32

_HASH = re.compile(r"scrypt:(\d{1,2}):(\d{1,2}):(\d{1,2}):([\w-]+):([\w-]+)", re.ASCII)
NOT_A_HASH = "password= is not a hash; run `zmqio admin-password` and give the line that it prints"


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """A hash that was read from its text.

    Attributes:
        log_n, r, p: the cost.
        salt: random bytes.
        key: the password's key under this cost and salt.
    """

    log_n: int
    r: int
    p: int
    salt: bytes
    key: bytes

    @classmethod
    def parse(cls, text: str) -> "PasswordHash":
        """Read the text of a hash.

        Raises:
            ConfigError: the text is not a hash. The message does not repeat it: it may be a password.
        """
        found = _HASH.fullmatch(text.strip())
        if found is None:
            raise ConfigError(NOT_A_HASH)
        log_n, r, p = (int(number) for number in found.groups()[:3])
        if not (1 <= log_n <= MAX_LOG_N and 1 <= r <= MAX_R and 1 <= p <= MAX_P):
            raise ConfigError(
                f"password= is a hash whose cost is out of range (at most {MAX_LOG_N}:{MAX_R}:{MAX_P})"
            )
        try:
            salt, key = _decode(found[4]), _decode(found[5])
        except binascii.Error:
            raise ConfigError(NOT_A_HASH) from None
        if len(key) != KEY_BYTES or not salt:
            raise ConfigError("password= is a hash that is cut short; give the line of `zmqio admin-password`")
        return cls(log_n, r, p, salt, key)

    def matches(self, password: str) -> bool:
        """Whether this is the password. Takes a fraction of a second; call it in a thread.

        The time does not depend on how much of a wrong password is right.
        """
        return hmac.compare_digest(self.key, derive_key(password, self.salt, self.log_n, self.r, self.p))

    def __str__(self) -> str:
        return f"scrypt:{self.log_n}:{self.r}:{self.p}:{_encode(self.salt)}:{_encode(self.key)}"


def hash_password(password: str) -> str:
    """Return the hash of a password, with a new salt.

    Raises:
        ValueError: the password has fewer than `MIN_PASSWORD_LENGTH` characters.
    """
    if len(password) < MIN_PASSWORD_LENGTH:
        raise ValueError(f"the password has {len(password)} characters; use at least {MIN_PASSWORD_LENGTH}")
    salt = secrets.token_bytes(SALT_BYTES)
    return str(PasswordHash(LOG_N, R, P, salt, derive_key(password, salt, LOG_N, R, P)))


def derive_key(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    """Return the key of a password under a salt and a cost."""
    n, secret = 1 << log_n, password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=128 * r * (n + p + 2), dklen=KEY_BYTES)


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
