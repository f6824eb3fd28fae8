from typing import Any

import msgpack
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmqio_broker.control import ControlError, ControlServer, parse_request

HANDLERS = {
    "hello": lambda _: {"epoch": "e"},
    "flushed": lambda request: {"flushed": request.get("token") == b"known"},
    "statistics": lambda _: {"frames_in": 3},
}


def control() -> ControlServer:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as unused:
        return ControlServer(unused, HANDLERS)


def respond(request: Any) -> Any:
    return msgpack.unpackb(control().answer([msgpack.packb(request)]))


def test_hello_response_has_version_and_facts() -> None:
    assert respond({"op": "hello", "version": 1}) == {"op": "hello", "version": 1, "epoch": "e"}


def test_statistics_are_answered() -> None:
    assert respond({"op": "statistics"}) == {"op": "statistics", "version": 1, "frames_in": 3}


def test_flush_token_is_looked_up() -> None:
    assert respond({"op": "flushed", "token": b"known"})["flushed"] is True
    assert respond({"op": "flushed"})["flushed"] is False


def test_statistics_are_refused_to_keys_without_the_right() -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as unused:
        server = ControlServer(unused, HANDLERS, lambda key: key == "node")
    request = [msgpack.packb({"op": "statistics"})]
    assert "may not read statistics" in msgpack.unpackb(server.answer(request, "sender"))["error"]
    assert msgpack.unpackb(server.answer(request, "node"))["frames_in"] == 3


def test_response_repeats_the_id_of_the_request() -> None:
    assert respond({"op": "hello", "version": 1, "id": 7})["id"] == 7


def test_empty_frame_of_a_req_socket_is_accepted() -> None:
    assert parse_request([b"", msgpack.packb({"op": "hello"})]) == {"op": "hello"}


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "one frame"),
        ([b"x", b"y"], "one frame"),
        ([b"", b"", b"y"], "one frame"),
        ([b""], "not msgpack"),
        ([b"\xc1"], "not msgpack"),
        ([b"\x81\xc0\x01"], "not msgpack"),
        ([msgpack.packb([1])], "not list"),
        ([msgpack.packb({})], "'op'"),
        ([msgpack.packb({"op": [1]})], "'op'"),
        ([msgpack.packb({"op": "hello", "version": 2})], "version 1"),
        ([msgpack.packb({"op": "hello", "version": True})], "version 1"),
    ],
)
def test_malformed_request_is_rejected_with_the_reason(frames: list[bytes], reason: str) -> None:
    with pytest.raises(ControlError, match=reason):
        parse_request(frames)


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_any_frames_get_a_response(frames: list[bytes]) -> None:
    answer = msgpack.unpackb(control().answer(frames))
    assert "error" in answer or answer["op"] in HANDLERS


def test_rejections_are_counted_and_the_last_reason_is_kept() -> None:
    served = control()
    answer = msgpack.unpackb(served.answer([b"GET / HTTP/1.1"]))
    assert answer == {"error": served.last_rejection, "version": 1}
    assert (served.rejected, served.answered) == (1, 0)
