"""The keys with which a process connects to a broker that requires them."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zmqio.exceptions import ConfigError
from zmqio.logger import get_logger
from zmqio.protocol.key_files import KEY_TEXT_CHARACTERS, KeyPairText, decode_key, parse_key_file
from zmqio.protocol.mechanism import MakeMechanism

__all__ = ["SECRET_FILE_VARIABLE", "SERVER_KEY_VARIABLE", "Curve", "LoadedCurve", "load_curve"]

log = get_logger(__name__)

SERVER_KEY_VARIABLE = "ZMQIO_CURVE_SERVER_KEY"
SECRET_FILE_VARIABLE = "ZMQIO_CURVE_SECRET_FILE"


@dataclass(frozen=True, slots=True)
class Curve:
    """Keys for a broker that requires them: `ZmqAdapter(address, curve=Curve(server_key=..., secret_file=...))`.

    `zmqio keygen` makes key files. Nodes need the extra `zmqio[curve]`.

    Attributes:
        server_key: public key of the broker, 40 characters, or the path of its public key file. With several
            brokers that have different keys: one for each address, separated by commas.
        secret_file: path of this process's own secret key file. Other users must not be able to read it.
    """

    server_key: str
    secret_file: str | os.PathLike[str]

    def load(self, brokers: int) -> "tuple[LoadedCurve, ...]":
        """Read the files.

        Args:
            brokers: number of broker addresses.

        Returns:
            The keys for each address.

        Raises:
            ConfigError: a file or key is missing, unreadable or invalid, or others may read the secret file. The
                text names the file, never a secret.
        """
        pair = _read_secret_file(Path(self.secret_file))
        names = [name.strip() for name in self.server_key.split(",") if name.strip()]
        if len(names) not in {1, brokers}:
            raise ConfigError(
                f"server_key names {len(names)} keys for {brokers} broker addresses; name one or {brokers}"
            )
        servers = names * brokers if len(names) == 1 else names
        return tuple(LoadedCurve(_server_key(server), pair.public, pair.secret) for server in servers)


@dataclass(frozen=True, slots=True)
class LoadedCurve:
    """The keys for one broker, in Z85.

    Attributes:
        server_key: public key of the broker.
        public_key: public key of this process.
        secret_key: secret key of this process.
    """

    server_key: str
    public_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"LoadedCurve(server_key={self.server_key!r}, public_key={self.public_key!r})"

    def mechanism(self) -> MakeMechanism:
        """Return the function that makes the security mechanism of each connection of a node.

        Raises:
            ConfigError: PyNaCl is not installed.
        """
        try:
            from zmqio.protocol.curve import CurveKeys, CurveMechanism
            from zmqio.protocol.secret_box import is_direct
        except ImportError as error:
            raise ConfigError(
                "keys are configured, but PyNaCl is not installed; install the extra: pip install 'zmqio[curve]'"
            ) from error
        if not is_direct():
            _log_slow_pynacl()
        keys = CurveKeys(
            decode_key(self.server_key), decode_key(self.public_key), decode_key(self.secret_key), self.public_key
        )
        return partial(CurveMechanism, keys=keys)


@cache
def _log_slow_pynacl() -> None:
    log.warning("pynacl_unsupported", version=version("PyNaCl"), effect="a message takes 1 us more CPU to encrypt")


def _curve_from_environment() -> Curve | None:
    """Return the keys in `ZMQIO_CURVE_SERVER_KEY` and `ZMQIO_CURVE_SECRET_FILE`; None if neither is set.

    Raises:
        ConfigError: only one of the two is set.
    """
    server_key = os.environ.get(SERVER_KEY_VARIABLE) or ""
    secret_file = os.environ.get(SECRET_FILE_VARIABLE) or ""
    if not server_key and not secret_file:
        return None
    if not server_key or not secret_file:
        present, missing = (
            (SERVER_KEY_VARIABLE, SECRET_FILE_VARIABLE)
            if server_key
            else (SECRET_FILE_VARIABLE, SERVER_KEY_VARIABLE)
        )
        raise ConfigError(f"{present} is set, but {missing} is not; keys need both")
    return Curve(server_key, secret_file)


def load_curve(curve: Curve | None, brokers: int) -> Sequence[LoadedCurve | None]:
    """Return the keys for each of `brokers` addresses: those of `curve`, or of the environment, or None.

    Raises:
        ConfigError: see `Curve.load`; also, if only one of the variables is set.
    """
    chosen = _curve_from_environment() if curve is None else curve
    return (None,) * brokers if chosen is None else chosen.load(brokers)


def _read_secret_file(path: Path) -> KeyPairText:
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the secret key file {path}: {_reason(error)}") from error
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigError(
            f"other users may read the secret key file {path} (mode {stat.S_IMODE(mode):04o}); "
            f"run: chmod o-rwx {path}"
        )
    pair = _parse(path, text)
    if not pair.secret:
        raise ConfigError(f'{path} has no line secret-key = "..."; name the file that ends with .key_secret')
    return pair


def _server_key(name: str) -> str:
    if len(name) == KEY_TEXT_CHARACTERS and not Path(name).exists():
        decode_key(name)
        return name
    path = Path(name)
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"server_key {name!r} is neither a key of {KEY_TEXT_CHARACTERS} characters nor a readable public key "
            f"file: {_reason(error)}"
        ) from error
    return _parse(path, text).public


def _parse(path: Path, text: str) -> KeyPairText:
    try:
        return parse_key_file(text)
    except ConfigError as error:
        raise ConfigError(f"{path} is not a key file: {error}") from error


def _reason(error: Any) -> str:
    return getattr(error, "strerror", None) or "it is not text"
