"""Tests of `zmqio.zeromq.key_pair`."""

import stat

import pytest
import zmq.auth

from zmqio.exceptions import ConfigError
from zmqio.zeromq.key_pair import make_key_pair


def test_files_are_those_that_pyzmq_reads(tmp_path):
    public, public_path, secret_path = make_key_pair("node", tmp_path / "new" / "folder")
    assert zmq.auth.load_certificate(public_path) == (public.encode(), None)
    loaded = zmq.auth.load_certificate(secret_path)
    assert loaded[0] == public.encode()
    assert zmq.curve_public(loaded[1]) == loaded[0]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (public_path, secret_path)]
    assert modes == [0o644, 0o600]


@pytest.mark.parametrize("existing", ["node.key", "node.key_secret"])
def test_files_are_never_overwritten(tmp_path, existing):
    (tmp_path / existing).write_text("mine")
    with pytest.raises(ConfigError, match=existing):
        make_key_pair("node", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "mine"


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden"])
def test_name_must_be_a_file_name(tmp_path, name):
    with pytest.raises(ConfigError, match="not a name"):
        make_key_pair(name, tmp_path)


def test_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write key files"):
        make_key_pair("node", tmp_path / "file" / "folder")
