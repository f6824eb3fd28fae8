"""Tests of `zmqio.protocol.key_files`; `tests/zeromq/test_key_pair` reads the files with pyzmq."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from zmqio.exceptions import ConfigError
from zmqio.protocol.key_files import KeyPairText, decode_key, parse_key_file, public_file, secret_file

PUBLIC = "sKcaSS>u@/ZwZkW?-8n)DjIz[:@v1DnZ^3:x=eMK"
SECRET = "{t+!DZW&QkVZrNz3AAl{H@5kgqNR2QT&*dUruZ-Z"


@given(st.binary(min_size=32, max_size=32))
def test_keys_are_decoded_as_pyzmq_does(key):
    assert decode_key(z85.encode(key).decode()) == key


@pytest.mark.parametrize("text", ["", PUBLIC[:39], PUBLIC + "a", " " * 40, "é" * 40, "#" * 40])
def test_text_that_is_no_key_is_refused_and_not_repeated(text):
    with pytest.raises(ConfigError) as caught:
        decode_key(text)
    assert text not in str(caught.value) or not text


def test_files_are_read_as_written():
    assert parse_key_file(public_file(PUBLIC)) == KeyPairText(PUBLIC)
    assert parse_key_file(secret_file(PUBLIC, SECRET)) == KeyPairText(PUBLIC, SECRET)
    assert 'prefixes = "shop,news"' in public_file(PUBLIC, "shop,news")


@pytest.mark.parametrize("text", ["", "curve", 'public-key = "short"', f'secret-key = "{SECRET}"'])
def test_file_without_a_public_key_is_refused(text):
    with pytest.raises(ConfigError):
        parse_key_file(text)


def test_secret_is_not_shown():
    assert SECRET not in repr(KeyPairText(PUBLIC, SECRET))
