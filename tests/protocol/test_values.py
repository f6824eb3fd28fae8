import contextlib
import enum

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import strategies
from zmqio.exceptions import EnvelopeError, PacketError
from zmqio.protocol.value_limits import MAX_DEPTH
from zmqio.protocol.values import WRAPPING_DEPTH, pack_values, plain, unpack_list, unpack_values


def test_plain_values_are_plain_msgpack():
    assert pack_values(["a", 1, None, True, b"\x01", {"b": 1.5}]) == msgpack.packb(
        ["a", 1, None, True, b"\x01", {"b": 1.5}]
    )


def test_tuples_become_lists_and_views_become_bytes():
    assert unpack_values(pack_values((1, (2,), bytearray(b"a"), memoryview(b"b")))) == [1, [2], b"a", b"b"]


def test_keys_are_converted_as_in_json():
    assert plain({1: "a", False: "b", None: "c", 1.5: "d"}) == {"1": "a", "false": "b", "null": "c", "1.5": "d"}


def test_enum_members_become_their_values():
    colors = enum.IntEnum("Color", "RED"), enum.StrEnum("Name", "BLUE")
    assert unpack_values(pack_values([colors[0].RED, colors[1].BLUE, {colors[1].BLUE: 1}])) == [
        1,
        "blue",
        {"blue": 1},
    ]


@pytest.mark.parametrize(
    ("number", "extension"),
    [
        (2**64, b"\xc7\x09\x01\x01" + bytes(8)),
        (-(2**63) - 1, b"\xc7\x09\x01\xff\x7f" + b"\xff" * 7),
    ],
)
def test_integer_beyond_64_bits_is_an_extension(number, extension):
    assert pack_values(number) == extension
    assert unpack_values(extension) == number


def test_lone_surrogate_is_preserved():
    assert unpack_values(pack_values(["\ud800é"])) == ["\ud800é"]


@pytest.mark.parametrize("value", [{1}, object(), 1j, range(3)])
def test_error_names_the_type_of_a_value_that_is_not_json_like(value):
    with pytest.raises(PacketError, match=f"type '{type(value).__name__}' cannot be sent"):
        pack_values([{"a": value}])


def test_error_names_the_type_of_a_key_that_is_not_json_like():
    with pytest.raises(PacketError, match="key of type 'bytes'"):
        pack_values({b"a": 1})


@pytest.mark.parametrize("depth", [MAX_DEPTH + WRAPPING_DEPTH + 1, 600, 100_000])
def test_deep_values_are_refused(depth):
    value: list = []
    for _ in range(depth):
        value = [value]
    with pytest.raises(PacketError, match="nested more than 128"):
        pack_values(value)


def test_value_that_contains_itself_is_refused():
    value: list = []
    value.append(value)
    with pytest.raises(PacketError, match="contains itself"):
        pack_values(value)


def test_timestamp_of_another_packer_becomes_unix_seconds():
    assert unpack_values(msgpack.packb([msgpack.Timestamp(1_700_000_000, 500_000_000)])) == [1_700_000_000.5]


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xc1",
        b"\x91",
        b"\x01\x02",
        b"\x91" * 100_000,
        b"\xa1\xff",
        b"\xd4\x09\x00",
        b"\x81\x01\x01",
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_bytes_that_are_not_one_json_like_value_are_refused(packed):
    with pytest.raises(EnvelopeError, match="not msgpack of a JSON-like value"):
        unpack_values(packed)


@given(strategies.nested(strategies.json_scalars | st.binary(max_size=9) | strategies.any_text))
def test_values_round_trip(value):
    assert unpack_values(pack_values(value)) == value


@given(st.binary())
def test_arbitrary_input_raises_only_envelope_errors(packed):
    with contextlib.suppress(EnvelopeError):
        unpack_values(packed)


@pytest.mark.parametrize("value", [None, 1, "text", {"a": 1}])
def test_list_is_required_where_arguments_are(value):
    assert unpack_list(pack_values([value])) == [value]
    with pytest.raises(EnvelopeError, match="must be msgpack of a list"):
        unpack_list(pack_values(value))
