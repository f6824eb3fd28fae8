"""Key files of CURVE, as text: `NAME.key` with a public key, `NAME.key_secret` with both keys.

The format is that of pyzmq's `zmq.auth`: sections with `name = "value"` lines; keys have 40 characters of Z85.

Source: rfc.zeromq.org/spec/4 (ZPL), /spec/32 (Z85).
"""

import re
from dataclasses import dataclass, field

from zmqio.exceptions import ConfigError

__all__ = ["KEY_TEXT_CHARACTERS", "KeyPairText", "decode_key", "parse_key_file", "public_file", "secret_file"]

KEY_TEXT_CHARACTERS = 40
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_LINE = re.compile(r'^\s*(public-key|secret-key)\s*=\s*"([^"]*)"\s*$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class KeyPairText:
    """The keys in a key file, in Z85; `secret` is empty in a public file."""

    public: str
    secret: str = field(default="", repr=False)


def decode_key(text: str) -> bytes:
    """Decode a key from Z85 to 32 bytes.

    Raises:
        ConfigError: it is not 40 characters of Z85. The text does not contain the key, which may be secret.
    """
    if len(text) != KEY_TEXT_CHARACTERS or not set(text) <= _VALUES.keys():
        raise ConfigError(f"a key has {KEY_TEXT_CHARACTERS} characters of Z85, not {len(text)} characters")
    numbers = []
    for at in range(0, KEY_TEXT_CHARACTERS, 5):
        number = 0
        for character in text[at : at + 5]:
            number = number * 85 + _VALUES[character]
        numbers.append(number)
    if max(numbers) >= 1 << 32:
        raise ConfigError("a key has 40 characters of Z85; five of these stand for more than 4 bytes")
    return b"".join(number.to_bytes(4, "big") for number in numbers)


def parse_key_file(text: str) -> KeyPairText:
    """Read a key file.

    Raises:
        ConfigError: it has no valid public key, or an invalid secret key.
    """
    found = dict(_LINE.findall(text))
    if "public-key" not in found:
        raise ConfigError('it has no line public-key = "..."')
    for key in found.values():
        decode_key(key)
    return KeyPairText(found["public-key"], found.get("secret-key", ""))


def public_file(public: str, prefixes: str = "") -> str:
    """Return the text of a public key file.

    Args:
        public: the key, in Z85.
        prefixes: prefixes that a sender with this key may publish to, separated by commas; empty for all.
    """
    metadata = f'    prefixes = "{prefixes}"\n' if prefixes else ""
    return (
        "#   Public key for zmqio: a broker needs those of its nodes and senders, and they need the broker's.\n"
        f'metadata\n{metadata}curve\n    public-key = "{public}"\n'
    )


def secret_file(public: str, secret: str) -> str:
    """Return the text of a secret key file."""
    return (
        "#   Secret key of zmqio: only its process may read this file.\n"
        f'metadata\ncurve\n    public-key = "{public}"\n    secret-key = "{secret}"\n'
    )
