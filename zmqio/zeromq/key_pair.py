"""Makes a pair of key files, for `zmqio keygen`."""

import os
from pathlib import Path

import zmq

from zmqio.exceptions import ConfigError
from zmqio.protocol.key_files import public_file, secret_file

__all__ = ["make_key_pair"]

PUBLIC_MODE, SECRET_MODE = 0o644, 0o600


def make_key_pair(name: str, folder: Path, prefixes: str = "") -> tuple[str, Path, Path]:
    """Write `NAME.key` (mode 0644) and `NAME.key_secret` (mode 0600) into `folder`, which is created if missing.

    Args:
        name: name of the key; names the files.
        folder: where the files are written.
        prefixes: for a sender: the prefixes that it may publish to, separated by commas; empty for all.

    Returns:
        The public key (40 characters of Z85) and the paths of the public and the secret file.

    Raises:
        ConfigError: the name is not a file name, or a file exists or cannot be written. Nothing is overwritten.
    """
    if not name or "/" in name or name.startswith("."):
        raise ConfigError(f"{name!r} is not a name for key files; use for example a host name")
    public, secret = (key.decode() for key in zmq.curve_keypair())
    public_path, secret_path = folder / f"{name}.key", folder / f"{name}.key_secret"
    if public_path.exists():
        raise ConfigError(f"{public_path} exists already; choose another name, or remove the file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _create(secret_path, SECRET_MODE, secret_file(public, secret))
        _create(public_path, PUBLIC_MODE, public_file(public, prefixes))
    except FileExistsError as error:
        raise ConfigError(f"{error.filename} exists already; choose another name, or remove the file") from error
    except OSError as error:
        raise ConfigError(f"cannot write key files into {folder}: {error.strerror}") from error
    return public, public_path, secret_path


def _create(path: Path, mode: int, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:  # noqa: PTH123  a descriptor
        file.write(text)
