"""Tests of `zmqio.nats.login`."""

import ssl
from pathlib import Path

import pytest

from tests.protocol.test_nats_keys import CREDENTIALS, SEED
from zmqio.exceptions import ConfigError
from zmqio.nats.addresses import parse_servers
from zmqio.nats.login import CREDENTIALS_VARIABLE, load_login


def test_user_of_any_address_holds_for_all_servers() -> None:
    login = load_login(parse_servers("nats://a,nats://me:pw@b"))
    assert login.connect_options("") == {"user": "me", "pass": "pw"}
    assert login.tls_host == "a"
    assert "pw" not in repr(login)


def test_name_alone_is_a_token() -> None:
    assert load_login(parse_servers("nats://t0ken@a")).connect_options("") == {"auth_token": "t0ken"}


def test_without_anything_there_are_no_options() -> None:
    assert load_login(parse_servers("nats://a")).connect_options("nonce") == {}


def test_credentials_file_is_given_or_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.creds").write_text(CREDENTIALS)
    (tmp_path / "two.nk").write_text(SEED)
    monkeypatch.setenv(CREDENTIALS_VARIABLE, str(tmp_path / "two.nk"))
    servers = parse_servers("nats://a")
    assert load_login(servers, tmp_path / "one.creds").connect_options("n").keys() == {"jwt", "sig"}
    assert load_login(servers).connect_options("n").keys() == {"nkey", "sig"}


@pytest.mark.parametrize("content", [None, "no seed"])
def test_unusable_file_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "bad.creds"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"bad\.creds"):
        load_login(parse_servers("nats://a"), path)


def test_default_context_checks_certificates() -> None:
    given = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert load_login(parse_servers("tls://a"), ssl_context=given).context() is given
    assert load_login(parse_servers("tls://a")).context().verify_mode is ssl.CERT_REQUIRED
