from pathlib import Path

import pytest
import zmq
from zmqio_broker.rejections import Rejections
from zmqio_broker.security import SEALED_BYTES, Security, is_private

from tests.support.keys import KeyFolder
from tests.support.timing import LIMIT_S


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path)


def security(keys: KeyFolder) -> Security:
    folder = keys.folder
    return Security(folder / "broker.key_secret", folder / "nodes", folder / "senders")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ipc:///run/broker", True),
        ("tcp://127.0.0.1:5555", True),
        ("tcp://127.9.9.9:5555", True),
        ("tcp://localhost:5555", True),
        ("tcp://[::1]:5555", True),
        ("tcp://*:5555", False),
        ("tcp://0.0.0.0:5555", False),
        ("tcp://[::]:5555", False),
        ("tcp://10.0.0.5:5555", False),
        ("tcp://broker.internal:5555", False),
    ],
)
def test_only_loopback_and_ipc_are_private(address: str, expected: bool) -> None:
    assert is_private(address) is expected


def test_message_limit_leaves_room_for_encryption(keys: KeyFolder) -> None:
    secured = security(keys)
    assert secured.public_key == keys.server_key
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.setsockopt(zmq.MAXMSGSIZE, 1_000)
        secured.secure("ingest", socket)
        assert socket.getsockopt(zmq.MAXMSGSIZE) == 1_000 + SEALED_BYTES
        assert socket.getsockopt(zmq.CURVE_SERVER) == 1
        assert socket.getsockopt(zmq.ZAP_DOMAIN) == b"zmqio.senders"
        secured.secure("publish", socket)
        assert socket.getsockopt(zmq.ZAP_DOMAIN) == b"zmqio.nodes"


def test_reload_takes_new_keys_and_keeps_the_old_ones_if_a_file_is_invalid(keys: KeyFolder) -> None:
    secured = security(keys)
    with zmq.Context() as context:
        thread = secured.authenticator_thread(context, Rejections())
        thread.start()
        keys.make("nodes", "second")
        secured.reload()
        assert len(secured.ring.nodes) == 2
        (keys.folder / "nodes" / "broken.key").write_text("nonsense")
        secured.reload()
        assert len(secured.ring.nodes) == 2
        assert secured.rejected == 0
        context.term()
        assert thread.join(LIMIT_S)
