"""Encrypts and decrypts with one key: XSalsa20 and Poly1305, which is what `crypto_box` uses once it has its key.

PyNaCl's public functions copy a message more often than libsodium needs, which takes a third of their time. So
messages of up to `SCRATCH_BYTES` go to libsodium directly, through a private module of PyNaCl. If that module is
missing, or does not give what the public functions give, all messages go through these (`is_direct()` is False).

Source: PyNaCl 1.5 and 1.6, `nacl/bindings/crypto_secretbox.py`; libsodium, `crypto_secretbox_easy`.
"""

from functools import cache
from typing import Any

from nacl.bindings import crypto_box_afternm, crypto_box_open_afternm
from nacl.exceptions import CryptoError

__all__ = ["DirectBox", "PublicBox", "SecretBox", "is_direct", "make_secret_box"]

MAC_BYTES = 16
SCRATCH_BYTES = 4_096


class PublicBox:
    """Uses PyNaCl's public functions.

    Args:
        key: 32 bytes, from `crypto_box_beforenm`.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, plain: bytes, nonce: bytes) -> bytes:
        """Encrypt. `nonce` has 24 bytes and is never used twice. The result is 16 bytes longer than `plain`."""
        return crypto_box_afternm(plain, nonce, self._key)

    def open(self, sealed: bytes, nonce: bytes) -> bytes:
        """Decrypt.

        Raises:
            CryptoError: `sealed` was not encrypted with this key and this nonce, or has been changed.
        """
        return crypto_box_open_afternm(sealed, nonce, self._key)


class DirectBox(PublicBox):
    """Passes short messages to libsodium directly. Not for several threads: all messages use the same memory.

    Args:
        key: 32 bytes, from `crypto_box_beforenm`.
        sodium: PyNaCl's private module.
    """

    def __init__(self, key: bytes, sodium: Any) -> None:
        super().__init__(key)
        self._memory = memoryview(bytearray(SCRATCH_BYTES))
        self._pointer = sodium.ffi.from_buffer(self._memory)
        self._seal = sodium.lib.crypto_secretbox_easy
        self._open = sodium.lib.crypto_secretbox_open_easy

    def seal(self, plain: bytes, nonce: bytes) -> bytes:
        """Encrypt; see `PublicBox.seal`."""
        size = len(plain)
        if size + MAC_BYTES > SCRATCH_BYTES or len(nonce) != 24:
            return super().seal(plain, nonce)
        if self._seal(self._pointer, plain, size, nonce, self._key):
            raise CryptoError("encryption failed")
        return bytes(self._memory[: size + MAC_BYTES])

    def open(self, sealed: bytes, nonce: bytes) -> bytes:
        """Decrypt; see `PublicBox.open`."""
        size = len(sealed)
        if not MAC_BYTES <= size <= SCRATCH_BYTES or len(nonce) != 24:
            return super().open(sealed, nonce)
        if self._open(self._pointer, sealed, size, nonce, self._key):
            raise CryptoError("decryption failed")
        return bytes(self._memory[: size - MAC_BYTES])


SecretBox = PublicBox


def make_secret_box(key: bytes) -> SecretBox:
    """Return a `DirectBox` if this PyNaCl allows it, a `PublicBox` otherwise.

    Raises:
        ValueError: the key has not 32 bytes.
    """
    if len(key) != 32:
        raise ValueError(f"a key has 32 bytes, not {len(key)}")
    sodium = _sodium()
    return PublicBox(key) if sodium is None else DirectBox(key, sodium)


def is_direct() -> bool:
    """Whether messages are passed to libsodium directly."""
    return _sodium() is not None


@cache
def _sodium() -> Any:  # a C module without types, or None
    try:
        from nacl import _sodium as sodium

        return sodium if _agrees(DirectBox(bytes(range(32)), sodium)) else None
    except (ImportError, AttributeError, TypeError, CryptoError):
        return None


def _agrees(direct: DirectBox) -> bool:
    """Whether both ways give the same for one message, and a changed one is refused."""
    plain, nonce = b"zmqio", bytes(24)
    sealed = direct.seal(plain, nonce)
    if sealed != PublicBox.seal(direct, plain, nonce) or direct.open(sealed, nonce) != plain:
        return False
    try:
        direct.open(bytes(len(sealed)), nonce)
    except CryptoError:
        return True
    return False
