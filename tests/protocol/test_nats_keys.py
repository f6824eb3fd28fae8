"""Tests of `zmqio.protocol.nats_keys`."""

import base64
import builtins
import sys

import pytest
from nacl.signing import VerifyKey

from zmqio.exceptions import ConfigError
from zmqio.protocol.nats_keys import read_user_key

# The key is the bytes 0 to 31.
SEED = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
PUBLIC = "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK"
CREDENTIALS = f"""-----BEGIN NATS USER JWT-----
eyJ0eXAiOiJKV1QifQ.e30.c2ln
------END NATS USER JWT------

************************* IMPORTANT *************************
-----BEGIN USER NKEY SEED-----
{SEED}
------END USER NKEY SEED------
"""


def public_key_of(nkey: str) -> VerifyKey:
    return VerifyKey(base64.b32decode(nkey + "=" * (-len(nkey) % 8))[1:-2])


def signature_in(options: dict[str, str]) -> bytes:
    return base64.urlsafe_b64decode(options["sig"] + "==")


def test_seed_alone_proves_the_key_with_a_signature_of_the_nonce() -> None:
    options = read_user_key(SEED + "\n").connect_options("nonce")
    assert options["nkey"] == PUBLIC
    public_key_of(PUBLIC).verify(b"nonce", signature_in(options))
    assert options.keys() == {"nkey", "sig"}


def test_credentials_file_gives_the_jwt_and_a_signature() -> None:
    options = read_user_key(CREDENTIALS).connect_options("another")
    assert options["jwt"] == "eyJ0eXAiOiJKV1QifQ.e30.c2ln"
    public_key_of(PUBLIC).verify(b"another", signature_in(options))


@pytest.mark.parametrize("text", ["", "SU", SEED[:-1], SEED[:-1] + "A", "SU" + "A" * 56, "UD" + SEED[2:]])
def test_file_without_a_valid_seed_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_user_key(text)
    assert SEED[10:] not in str(caught.value)


def test_key_is_not_shown() -> None:
    assert SEED not in repr(read_user_key(CREDENTIALS))
    assert "seed" not in repr(read_user_key(CREDENTIALS))


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_nacl(name: str, *args: object, **options: object) -> object:
        if name.startswith("nacl"):
            raise ImportError(name)
        return real(name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_nacl)
    for name in [name for name in sys.modules if name.startswith("nacl.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError, match=r"zmqio\[nats\]"):
        read_user_key(SEED).connect_options("")
