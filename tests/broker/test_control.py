from typing import Any

import msgpack
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmqio_broker.control import Control, ControlError, parse_request


def control() -> Control:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as unused:
        return Control(unused, {"hello": lambda: {"epoch": "e"}, "statistics": lambda: {"frames_in": 3}})


def ask(request: Any) -> Any:
    return msgpack.unpackb(control().answer([msgpack.packb(request)]))


def test_hello_is_answered_with_version_and_facts() -> None:
    assert ask({"op": "hello", "version": 1}) == {"op": "hello", "version": 1, "epoch": "e"}


def test_statistics_are_answered() -> None:
    assert ask({"op": "statistics"}) == {"op": "statistics", "version": 1, "frames_in": 3}


def test_id_of_a_request_is_given_back() -> None:
    assert ask({"op": "hello", "version": 1, "id": 7})["id"] == 7


def test_empty_frame_of_a_req_socket_is_accepted() -> None:
    assert parse_request([b"", msgpack.packb({"op": "hello"})]) == {"op": "hello"}


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [
        ([], "one frame"),
        ([b"x", b"y"], "one frame"),
        ([b"", b"", b"y"], "one frame"),
        ([b""], "no msgpack"),
        ([b"\xc1"], "no msgpack"),
        ([b"\x81\xc0\x01"], "no msgpack"),
        ([msgpack.packb([1])], "not list"),
        ([msgpack.packb({})], "'op'"),
        ([msgpack.packb({"op": [1]})], "'op'"),
        ([msgpack.packb({"op": "hello", "version": 2})], "version 1"),
        ([msgpack.packb({"op": "hello", "version": True})], "version 1"),
    ],
)
def test_malformed_request_is_refused_with_what_is_wrong(frames: list[bytes], complaint: str) -> None:
    with pytest.raises(ControlError, match=complaint):
        parse_request(frames)


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_no_frames_can_break_it(frames: list[bytes]) -> None:
    answer = msgpack.unpackb(control().answer(frames))
    assert "error" in answer or answer["op"] in ("hello", "statistics")


def test_refusals_are_counted_and_the_last_one_is_kept() -> None:
    served = control()
    answer = msgpack.unpackb(served.answer([b"GET / HTTP/1.1"]))
    assert answer == {"error": served.last_refusal, "version": 1}
    assert (served.refused, served.answered) == (1, 0)
