import pytest

from zmqio.exceptions import PacketError
from zmqio.protocol.packet import AckableFrames, PacketType, check_data, check_namespace, number_text


def test_id_after_a_string_is_written_in_decimal_digits():
    frames = AckableFrames("51-/chat,", '["a",{"_placeholder":true,"num":0}]', (b"\x01",))
    assert frames.fill(120) == ('51-/chat,120["a",{"_placeholder":true,"num":0}]', b"\x01")


@pytest.mark.parametrize(
    ("ack_id", "written"), [(0, b"\x00"), (127, b"\x7f"), (128, b"\xcc\x80"), (65536, b"\xce\0\x01\0\0")]
)
def test_id_after_bytes_is_a_msgpack_unsigned_integer(ack_id, written):
    assert AckableFrames(b"head", b"tail").fill(ack_id) == (b"head" + written + b"tail",)


def test_fill_does_not_change_the_ackable_frames():
    frames = AckableFrames("2", '["a"]')
    assert [frames.fill(1), frames.fill(2)] == [('21["a"]',), ('22["a"]',)]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (PacketType.CONNECT, None),
        (PacketType.CONNECT, {}),
        (PacketType.DISCONNECT, None),
        (PacketType.EVENT, ["a"]),
        (PacketType.EVENT, [1]),
        (PacketType.EVENT, [1.5, "x"]),
        (PacketType.BINARY_EVENT, ["a", b""]),
        (PacketType.ACK, []),
        (PacketType.BINARY_ACK, [b""]),
        (PacketType.CONNECT_ERROR, "no"),
        (PacketType.CONNECT_ERROR, {"message": "no"}),
    ],
)
def test_valid_payload_is_accepted(kind, data):
    check_data(kind, data)


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        (PacketType.CONNECT, [], "a CONNECT packet carries an object or nothing, not an empty list"),
        (PacketType.DISCONNECT, {}, "a DISCONNECT packet carries nothing, not a value of type 'dict'"),
        (PacketType.EVENT, None, "that is not reserved, not nothing"),
        (PacketType.EVENT, [True], "not a list that begins with True"),
        (PacketType.EVENT, ["disconnect"], "not a list that begins with 'disconnect'"),
        (PacketType.ACK, {}, "packet carries a list, not a value of type 'dict'"),
        (PacketType.CONNECT_ERROR, None, "an object or a string, not nothing"),
    ],
)
def test_error_names_the_expected_payload(kind, data, text):
    with pytest.raises(PacketError, match=text):
        check_data(kind, data)


@pytest.mark.parametrize("namespace", ["", "chat", "/a,b", "/\ud800"])
def test_invalid_namespace_is_refused(namespace):
    with pytest.raises(PacketError, match="namespace"):
        check_namespace(namespace)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"), (-0.0, "0"), (7, "7"), (-7.0, "-7"), (1.5, "1.5"), (1e20, "100000000000000000000"),
        (1e21, "1e+21"), (1.5e22, "1.5e+22"), (10**21, "1e+21"), (1e-6, "0.000001"), (1e-7, "1e-7"),
        (1.25e-7, "1.25e-7"), (0.00001, "0.00001"),
    ],
)  # fmt: skip
def test_number_is_written_as_in_javascript(number: float, text: str) -> None:
    assert number_text(number) == text
