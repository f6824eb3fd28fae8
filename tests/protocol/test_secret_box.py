"""Tests of `zmqio.protocol.secret_box`: both ways give the same; the private names of PyNaCl may be missing."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import nacl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_box_afternm
from nacl.exceptions import CryptoError

from zmqio.protocol import secret_box
from zmqio.protocol.secret_box import DirectBox, PublicBox, is_direct, make_secret_box

KEY = bytes(range(32))
NONCE = bytes(range(24))


@pytest.fixture(autouse=True)
def _ask_anew() -> Iterator[None]:
    secret_box._sodium.cache_clear()
    yield
    secret_box._sodium.cache_clear()


def replace_private_module(monkeypatch: pytest.MonkeyPatch, module: object) -> None:
    """Give PyNaCl another private module; None: it has none."""
    monkeypatch.setitem(sys.modules, "nacl._sodium", module)
    monkeypatch.delattr(nacl, "_sodium", raising=False)
    if module is not None:
        monkeypatch.setattr(nacl, "_sodium", module, raising=False)


def test_installed_pynacl_is_used_directly() -> None:
    assert is_direct()  # if not: read PyNaCl's bindings, then change `DirectBox`
    assert type(make_secret_box(KEY)) is DirectBox


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_both_ways_give_the_same(messages: list[bytes]) -> None:
    direct, public = make_secret_box(KEY), PublicBox(KEY)
    sealed = [direct.seal(message, NONCE) for message in messages]
    assert sealed == [public.seal(message, NONCE) for message in messages]
    assert [direct.open(one, NONCE) for one in sealed] == messages
    assert [public.open(one, NONCE) for one in sealed] == messages


@pytest.mark.parametrize("size", [0, 1, 4_079, 4_080, 4_081, 100_000])
def test_every_size_returns(size: int) -> None:
    box = make_secret_box(KEY)
    sealed = box.seal(b"x" * size, NONCE)
    assert sealed == crypto_box_afternm(b"x" * size, NONCE, KEY)
    assert box.open(sealed, NONCE) == b"x" * size


@pytest.mark.parametrize("sealed", [b"", bytes(15), bytes(16), bytes(17), bytes(5_000)])
def test_what_was_not_encrypted_with_the_key_is_refused(sealed: bytes) -> None:
    with pytest.raises(CryptoError):
        make_secret_box(KEY).open(sealed, NONCE)


def test_changed_messages_are_refused() -> None:
    box = make_secret_box(KEY)
    sealed = bytearray(box.seal(b"text", NONCE))
    sealed[-1] ^= 1
    with pytest.raises(CryptoError):
        box.open(bytes(sealed), NONCE)
    with pytest.raises(CryptoError):
        box.open(box.seal(b"text", NONCE), bytes(24))


def test_keys_and_nonces_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        make_secret_box(bytes(31))
    for size in (0, 23, 25):
        with pytest.raises(Exception, match="nonce"):
            make_secret_box(KEY).seal(b"text", bytes(size))
        with pytest.raises(Exception, match="nonce"):
            make_secret_box(KEY).open(bytes(16), bytes(size))


def _wrong_functions() -> object:
    from nacl import _sodium as real

    functions = SimpleNamespace(crypto_secretbox_easy=lambda *args: 0, crypto_secretbox_open_easy=lambda *args: 0)
    return SimpleNamespace(ffi=real.ffi, lib=functions)


@pytest.mark.parametrize("module", [None, SimpleNamespace(), _wrong_functions()], ids=["none", "names", "results"])
def test_without_the_private_functions_the_public_ones_are_used(
    monkeypatch: pytest.MonkeyPatch, module: object
) -> None:
    replace_private_module(monkeypatch, module)
    assert not is_direct()
    box = make_secret_box(KEY)
    assert type(box) is PublicBox
    assert box.open(box.seal(b"text", NONCE), NONCE) == b"text"
