import enum
import importlib.util
import json

import pytest
from hypothesis import given

from tests.protocol import strategies
from zmqio.exceptions import PacketError
from zmqio.protocol.json_text import decode_json, encode_json, fill_placeholders


def test_text_has_no_spaces_and_keeps_unicode():
    assert encode_json(["é", {"a": 1, "b": None}]) == ('["é",{"a":1,"b":null}]', ())


def test_tuples_are_lists_and_keys_are_written_as_json_does():
    assert encode_json({1: (1, 2), False: (), None: 0, 1.5: 1})[0] == '{"1":[1,2],"false":[],"null":0,"1.5":1}'


@pytest.mark.parametrize("binary", [b"\x01", bytearray(b"\x01"), memoryview(b"\x01")])
def test_binary_becomes_a_numbered_placeholder(binary):
    text, attachments = encode_json(["a", binary, [b"\x02"]])
    assert text == '["a",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]'
    assert attachments == (b"\x01", b"\x02")
    assert all(type(attachment) is bytes for attachment in attachments)


def test_lone_surrogate_is_escaped():
    assert encode_json(["é", "\ud800"]) == ('["\\u00e9","\\ud800"]', ())


def test_lone_surrogate_beside_binary_is_escaped():
    assert encode_json(["\ud800", b"\x01"]) == ('["\\ud800",{"_placeholder":true,"num":0}]', (b"\x01",))


def test_enum_members_are_written_as_their_values():
    assert encode_json([enum.IntEnum("Color", "RED").RED])[0] == "[1]"


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j, range(3)])
def test_error_names_the_type_of_a_value_without_a_json_form(value):
    for data in (value, [b"binary", value]):
        with pytest.raises(PacketError, match=f"type '{type(value).__name__}' cannot be sent"):
            encode_json(data)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_are_refused(value):
    for data in ([value], [b"binary", value], {value: 1}):
        with pytest.raises(PacketError, match="NaN and Infinity"):
            encode_json(data)


def test_error_names_the_type_of_an_invalid_key():
    with pytest.raises(PacketError, match="not tuple"):
        encode_json({(1, 2): 3})


def test_value_that_contains_itself_is_refused():
    value: list = []
    value.append(value)
    with pytest.raises(PacketError, match="contains itself"):
        encode_json(value)
    with pytest.raises(PacketError, match="contains itself"):
        encode_json([b"binary", value])


def test_integer_over_the_digit_limit_is_refused():
    with pytest.raises(PacketError, match="cannot be sent"):
        encode_json(10**5000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 2",
        "[1",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "\ufeff1",
        "'a'",
        "[1,]",
        "9" * 5000,
        "\x01",
        '"\n"',
    ],
)
def test_text_that_is_not_one_json_value_is_refused(text):
    with pytest.raises(PacketError, match=r"not JSON|too large|nested more"):
        decode_json(text)


def test_depth_bomb_is_refused():
    with pytest.raises(PacketError, match=r"not JSON|too large|nested more"):
        decode_json("[" * 500_000)


def test_value_is_decoded_from_the_given_start_to_the_end():
    assert decode_json('2["a"] \n', 1) == ["a"]


@pytest.mark.parametrize("number", [1, -1, None, "0", True, 0.0])
def test_placeholder_without_an_attachment_is_refused(number):
    with pytest.raises(PacketError, match="matches none of the 1 attachments"):
        fill_placeholders([{"_placeholder": True, "num": number}], [b""])


def test_placeholders_are_filled_at_any_depth_and_more_than_once():
    placeholder = {"_placeholder": True, "num": 0}
    data = ["a", {"b": [dict(placeholder)]}, dict(placeholder), {"_placeholder": False, "num": 9}]
    fill_placeholders(data, [b"x"])
    assert data == ["a", {"b": [b"x"]}, b"x", {"_placeholder": False, "num": 9}]


@given(strategies.nested(strategies.json_scalars | strategies.any_text))
def test_values_round_trip(value):
    text, attachments = encode_json(value)
    text.encode()
    assert attachments == ()
    assert decode_json(text) == value == json.loads(text)


@given(strategies.values)
def test_values_with_binary_round_trip(value):
    text, attachments = encode_json([value])
    data = decode_json(text)
    fill_placeholders(data, list(attachments))
    assert data == [value]


@given(strategies.nested(strategies.json_scalars))
def test_text_is_that_of_the_standard_encoder(value):
    text, attachments = encode_json(value)
    expected = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if any("\ud800" <= character <= "\udfff" for character in expected):
        expected = json.dumps(value, separators=(",", ":"))
    assert (text, attachments) == (expected, ())


def test_interpreter_without_an_encoder_in_c_is_supported(monkeypatch):
    monkeypatch.setattr("json.encoder.c_make_encoder", None)
    spec = importlib.util.find_spec("zmqio.protocol.json_text")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.encode_json(["\u00e9", 1.5, {"a": b"x"}]) == encode_json(["\u00e9", 1.5, {"a": b"x"}])
