"""Tests of `zmqio.zeromq.curve`."""

import builtins
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.keys import KeyFolder
from zmqio.exceptions import ConfigError
from zmqio.protocol import secret_box
from zmqio.protocol.mechanism import SocketType
from zmqio.zeromq import curve
from zmqio.zeromq.curve import SECRET_FILE_VARIABLE, SERVER_KEY_VARIABLE, Curve, load_curve


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> KeyFolder:
    return KeyFolder(tmp_path_factory.mktemp("keys"))


def test_one_key_serves_all_brokers_and_several_serve_one_each(keys):
    assert [each.server_key for each in keys.node.load(2)] == [keys.server_key] * 2
    other = KeyFolder(keys.folder / "other").server_key
    both = Curve(f"{keys.server_key}, {other}", keys.node.secret_file)
    assert [each.server_key for each in both.load(2)] == [keys.server_key, other]
    with pytest.raises(ConfigError, match="names 2 keys for 3 broker addresses"):
        both.load(3)


def test_server_key_may_be_the_path_of_its_file(keys):
    by_path = Curve(str(keys.folder / "broker.key"), keys.node.secret_file)
    assert by_path.load(1)[0].server_key == keys.server_key


def test_secret_is_not_shown(keys):
    loaded = keys.node.load(1)[0]
    assert loaded.secret_key not in repr(loaded)
    assert loaded.public_key in repr(loaded)


def test_mechanism_is_made_for_each_connection(keys):
    make = keys.node.load(1)[0].mechanism()
    first, second = make(SocketType.SUB), make(SocketType.SUB)
    assert first.begin()[80:112] != second.begin()[80:112]


@pytest.mark.parametrize("server_key", ["", "short", "#" * 40, "/nowhere/broker.key", "x" * 40 + "y"])
def test_invalid_server_key_is_an_error(keys, server_key):
    with pytest.raises(ConfigError):
        Curve(server_key, keys.node.secret_file).load(1)


def test_missing_and_invalid_secret_files_are_errors_that_name_the_file(keys, tmp_path):
    missing = tmp_path / "missing"
    with pytest.raises(ConfigError, match=r"cannot read the secret key file .*missing: No such file"):
        Curve(keys.server_key, missing).load(1)
    invalid = tmp_path / "invalid"
    invalid.write_bytes(b"\xff")
    invalid.chmod(0o600)
    with pytest.raises(ConfigError, match=r"cannot read the secret key file .*invalid"):
        Curve(keys.server_key, invalid).load(1)
    invalid.write_text("nonsense")
    with pytest.raises(ConfigError, match="invalid is not a key file"):
        Curve(keys.server_key, invalid).load(1)
    public = tmp_path / "public"
    public.write_text((keys.folder / "nodes" / "node.key").read_text())
    public.chmod(0o600)
    with pytest.raises(ConfigError, match="key_secret"):
        Curve(keys.server_key, public).load(1)


@pytest.mark.parametrize(("mode", "is_accepted"), [(0o600, True), (0o640, True), (0o644, False), (0o602, False)])
def test_other_users_must_not_read_or_write_the_secret(tmp_path, mode, is_accepted):
    keys = KeyFolder(tmp_path)
    Path(keys.node.secret_file).chmod(mode)
    if is_accepted:
        keys.node.load(1)
    else:
        with pytest.raises(ConfigError, match=f"mode {mode:04o}"):
            keys.node.load(1)


def test_environment_decides_without_the_option(keys, monkeypatch):
    monkeypatch.delenv(SERVER_KEY_VARIABLE, raising=False)
    monkeypatch.setenv(SECRET_FILE_VARIABLE, "")
    assert list(load_curve(None, 2)) == [None, None]
    monkeypatch.setenv(SERVER_KEY_VARIABLE, keys.server_key)
    with pytest.raises(ConfigError, match="ZMQIO_CURVE_SECRET_FILE is not"):
        load_curve(None, 1)
    monkeypatch.setenv(SECRET_FILE_VARIABLE, str(keys.node.secret_file))
    assert [each.server_key for each in load_curve(None, 2) if each] == [keys.server_key] * 2


def test_missing_pynacl_names_the_extra(keys, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "zmqio.protocol.curve":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r"zmqio\[curve\]"):
        keys.node.load(1)[0].mechanism()


def test_a_pynacl_that_cannot_be_used_directly_is_logged_once(
    keys: KeyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_box, "_sodium", lambda: None)
    curve._log_slow_pynacl.cache_clear()
    with capture_logs() as logs:
        for _ in range(2):
            assert keys.node.load(1)[0].mechanism()(SocketType.SUB).name == b"CURVE"
    curve._log_slow_pynacl.cache_clear()
    assert [line["event"] for line in logs] == ["pynacl_unsupported"]
