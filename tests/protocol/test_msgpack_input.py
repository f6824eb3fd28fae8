"""Tests of `zmqio.protocol.msgpack_input`."""

import struct
import tracemalloc
from collections.abc import Callable

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmqio_broker.control import ControlError, parse_request

from zmqio.exceptions import EnvelopeError, PacketError, PublishRequestError
from zmqio.protocol import envelope
from zmqio.protocol.msgpack_input import unpack
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.protocol.publish import decode_request
from zmqio.protocol.values import unpack_values

LEVELS = 1_000
"""msgpack-python accepts 1,024."""
MEMORY_PER_BYTE = 20


def nested_claims(header: bytes, size: int) -> bytes:
    """Lists in lists, each of which claims as many elements as there are bytes."""
    form = ">I" if header == b"\xdd" else ">H"
    return ((header + struct.pack(form, size)) * LEVELS).ljust(size, b"\xc0")


def parse(data: bytes) -> object:
    return MsgpackParser().decoder().add(b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data" + data)


def peak_of(decode: Callable[[bytes], object], data: bytes) -> int:
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, msgpack.UnpackException, EnvelopeError, PacketError, PublishRequestError)):
            decode(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("header", [b"\xdc", b"\xdd"])
@pytest.mark.parametrize(
    "decode",
    [
        unpack,
        unpack_values,
        parse,
        lambda data: envelope.decode(b"\x98\x01\x03\xafabcdefghijklmno\x01\x01" + data),
        lambda data: decode_request(b"\x81\xa4args" + data),
        lambda data: parse_request([b"\x81\xa2op" + data]),
    ],
    ids=["unpack", "values", "parser", "envelope", "publish", "control of the broker"],
)
def test_lists_that_claim_more_than_there_is_take_no_memory(
    decode: Callable[[bytes], object], header: bytes
) -> None:
    data = nested_claims(header, 20_000)
    assert peak_of(decode, data) < MEMORY_PER_BYTE * len(data)


def test_request_to_the_broker_is_answered_with_an_error() -> None:
    with pytest.raises(ControlError, match="not msgpack"):
        parse_request([nested_claims(b"\xdd", 60_000)])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner),
    max_leaves=60,
)


@given(VALUES)
def test_values_are_unpacked_as_msgpack_does(value: object) -> None:
    assert unpack(msgpack.packb(value)) == value


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xdc", b"\xdd\0\0"]))
def test_any_bytes_give_the_same_value_or_an_error(data: bytes, start: bytes) -> None:
    try:
        expected = msgpack.unpackb(start + data)
    except (ValueError, msgpack.UnpackException, TypeError):
        with pytest.raises((ValueError, msgpack.UnpackException, TypeError)):
            unpack(start + data)
    else:
        assert repr(unpack(start + data)) == repr(expected)


def test_options_are_passed_on() -> None:
    assert unpack(b"\xdc\0\1\x01", use_list=False) == (1,)
