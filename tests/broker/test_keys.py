from pathlib import Path

import pytest
import zmq
import zmq.auth
from zmqio_broker.keys import KeyFileError, load_key_ring, load_secret

from tests.support.keys import KeyFolder


def test_folders_are_read_with_names_and_prefixes(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path, prefixes="shop, news")
    ring = load_key_ring(tmp_path / "nodes", tmp_path / "senders")
    node, sender = (each.load(1)[0].public_key.encode() for each in (keys.node, keys.sender))
    assert ring.nodes == {node: "node"}
    assert ring.senders == {sender: frozenset({"shop", "news"})}
    assert load_key_ring(tmp_path / "nodes", None).senders == {}


def test_files_of_zmq_auth_are_read(tmp_path: Path) -> None:
    public, _ = zmq.auth.create_certificates(tmp_path, "node")
    ring = load_key_ring(tmp_path, tmp_path)
    (key,) = ring.nodes
    assert Path(public).read_text().count(key.decode()) == 1
    assert ring.senders == {key: frozenset()}


def test_secret_key_is_read(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path)
    public, secret = load_secret(tmp_path / "broker.key_secret")
    assert public.decode() == keys.server_key
    assert zmq.curve_public(secret) == public


@pytest.mark.parametrize("mode", [0o644, 0o602])
def test_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    KeyFolder(tmp_path)
    (tmp_path / "broker.key_secret").chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o}"):
        load_secret(tmp_path / "broker.key_secret")


def test_files_that_are_missing_or_invalid_are_named(tmp_path: Path) -> None:
    KeyFolder(tmp_path)
    with pytest.raises(KeyFileError, match=r"missing: No such file"):
        load_secret(tmp_path / "missing")
    (tmp_path / "broker.key").chmod(0o600)
    with pytest.raises(KeyFileError, match=r"key_secret"):
        load_secret(tmp_path / "broker.key")
    with pytest.raises(KeyFileError, match=r"--node-keys .*missing is not a folder"):
        load_key_ring(tmp_path / "missing", None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(KeyFileError, match="no node could connect"):
        load_key_ring(tmp_path / "empty", None)
    for text in ("nonsense", 'curve\n    public-key = "short"\n', f'curve\n    public-key = "{"~" * 40}"\n'):
        (tmp_path / "nodes" / "broken.key").write_text(text)
        with pytest.raises(KeyFileError, match=r"broken\.key is not a key file"):
            load_key_ring(tmp_path / "nodes", None)
