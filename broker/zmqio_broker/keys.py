"""The keys that may connect to the broker, read from folders of public key files.

A file `NAME.key` in the folder of nodes allows a node, which may do everything within the broker. One in the
folder of senders allows an outside sender, which may only publish requests, and only to the prefixes in its file:
a line `prefixes = "shop,news"`; without that line, to all. The format is that of `zmq.auth`; `zmqio keygen` makes
such files.
"""

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import zmq.auth

__all__ = ["KeyFileError", "KeyRing", "load_key_ring", "load_secret"]

_PREFIXES = re.compile(r'^\s*prefixes\s*=\s*"([^"]*)"\s*$', re.MULTILINE)


class KeyFileError(Exception):
    """A key file or folder is missing, unreadable or invalid. The text is one line and contains no secret."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The public keys (Z85) that may connect.

    Attributes:
        nodes: name of each node's key.
        senders: prefixes of each sender's key; empty means every prefix.
    """

    nodes: Mapping[bytes, str] = field(default_factory=dict)
    senders: Mapping[bytes, frozenset[str]] = field(default_factory=dict)


def load_secret(path: Path) -> tuple[bytes, bytes]:
    """Return the broker's public and secret key (Z85).

    Raises:
        KeyFileError: the file is missing, unreadable or invalid, or other users may read it.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise KeyFileError(f"cannot read the secret key file {path}: {error.strerror}") from error
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise KeyFileError(
            f"other users may read the secret key file {path} (mode {stat.S_IMODE(mode):04o}); "
            f"run: chmod o-rwx {path}"
        )
    public, secret = _load(path)
    if secret is None:
        raise KeyFileError(f'{path} has no line secret-key = "..."; name the file that ends with .key_secret')
    return public, secret


def load_key_ring(nodes: Path, senders: Path | None) -> KeyRing:
    """Read the folders of public keys.

    Raises:
        KeyFileError: a folder or one of its files cannot be used, or no node could connect.
    """
    node_files = _key_files(nodes, "--node-keys")
    if not node_files:
        raise KeyFileError(f"the folder of --node-keys, {nodes}, has no file NAME.key: no node could connect")
    sender_files = [] if senders is None else _key_files(senders, "--sender-keys")
    return KeyRing(
        {_load(path)[0]: path.stem for path in node_files},
        {_load(path)[0]: _prefixes(path) for path in sender_files},
    )


def _key_files(folder: Path, option: str) -> list[Path]:
    if not folder.is_dir():
        raise KeyFileError(f"{option} {folder} is not a folder")
    return sorted(folder.glob("*.key"))


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
    except OSError as error:
        raise KeyFileError(f"cannot read the key file {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise KeyFileError(f"{path} is not a key file: it has no public key") from error
    for key in (public, secret):
        if key is not None and not _is_key(key):
            raise KeyFileError(f"{path} is not a key file: a key has 40 characters of Z85")
    return public, secret


def _is_key(key: bytes) -> bool:
    try:
        return len(key) == 40 and len(zmq.utils.z85.decode(key)) == 32
    except (KeyError, ValueError, OverflowError):
        return False


def _prefixes(path: Path) -> frozenset[str]:
    found = _PREFIXES.search(path.read_text(errors="replace"))
    names = found.group(1).split(",") if found else []
    return frozenset(name.strip() for name in names if name.strip())
