"""Key files for tests: those of a broker, of a node and of an outside sender."""

from collections.abc import Sequence
from pathlib import Path

from zmqio.zeromq.curve import Curve
from zmqio.zeromq.key_pair import make_key_pair

__all__ = ["KeyFolder"]


class KeyFolder:
    """A folder with the keys of one cluster.

    Args:
        folder: an empty folder.
        prefixes: those of the sender.

    Attributes:
        node: the keys of a node.
        sender: the keys of an outside sender.
        server_key: the broker's public key.
    """

    def __init__(self, folder: Path, prefixes: str = "") -> None:
        self.folder = folder
        self.server_key, _, self._secret = make_key_pair("broker", folder)
        self.node = self.make("nodes", "node")
        self.sender = self.make("senders", "sender", prefixes)

    def make(self, kind: str, name: str, prefixes: str = "") -> Curve:
        """Make another key, in the folder "nodes" or "senders", or in one that the broker does not read."""
        _, _, secret = make_key_pair(name, self.folder / kind, prefixes)
        return Curve(self.server_key, secret)

    @property
    def node_environment(self) -> dict[str, str]:
        """Environment variables of a node or command with the keys of a node."""
        return _environment(self.node)

    @property
    def sender_environment(self) -> dict[str, str]:
        """Environment variables of a command with the keys of the outside sender."""
        return _environment(self.sender)

    @property
    def broker_args(self) -> Sequence[str]:
        """Options of a broker that requires these keys."""
        nodes, senders = self.folder / "nodes", self.folder / "senders"
        return ["--curve-secret", str(self._secret), "--node-keys", str(nodes), "--sender-keys", str(senders)]


def _environment(curve: Curve) -> dict[str, str]:
    return {
        "ZMQIO_CURVE_SERVER_KEY": str(curve.server_key),
        "ZMQIO_CURVE_SECRET_FILE": str(curve.secret_file),
    }
