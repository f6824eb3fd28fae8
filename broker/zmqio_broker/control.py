"""The control endpoint: answers `hello`, `flushed` and `statistics` requests; rejects anything else with a reason.

Requests and responses are msgpack maps in the last frame. An empty frame before it (REQ sends one, DEALER need
not) is returned. `{"op": "hello", "version": 1}` is answered with `{"op": "hello", "version": 1, "epoch": ...,
"ports" or "paths": {...}, "pid": ..., "release": ..., ...}` and `{"op": "statistics"}` with the counters.
`{"op": "flushed", "token": ...}` is answered with `{"flushed": true}` once the flush message with this token has
arrived at the ingest endpoint (see `ingest`). An invalid request is answered with `{"error": "..."}`. A response
repeats the request's `id`, if it has one.
"""

from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import msgpack
import zmq

from zmqio_broker.rejections import peer_property

__all__ = ["PROTOCOL_VERSION", "ControlError", "ControlServer", "parse_request", "release"]

PROTOCOL_VERSION = 1
_OPERATIONS = ("hello", "flushed", "statistics")
_MAX_FRAMES = 2

Response = Mapping[str, Any]  # Any: values of a msgpack map


class ControlError(ValueError):
    """An invalid control request; the text is sent to the client."""


def release() -> str:
    """Return the version of the installed zmqio distribution; "unknown" if run from a source tree."""
    try:
        return metadata.version("zmqio")
    except metadata.PackageNotFoundError:
        return "unknown"


def parse_request(frames: list[bytes]) -> dict[str, Any]:
    """Decode and check a request.

    Args:
        frames: the frames after the client's identity: `[body]` or `[b"", body]`.

    Raises:
        ControlError: the request is invalid; the text says why.
    """
    if not frames or len(frames) > _MAX_FRAMES or any(frames[:-1]):
        raise ControlError(
            f"a request has one frame, or an empty frame and one more; this request has {len(frames)} frames"
        )
    try:
        request = _unpack(frames[-1])
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise ControlError(f"a request is a msgpack map; these {len(frames[-1])} bytes are not msgpack") from error
    if not isinstance(request, dict):
        raise ControlError(f"a request is a msgpack map, not {type(request).__name__}")
    if request.get("op") not in _OPERATIONS:
        raise ControlError(f"'op' must be one of: {', '.join(_OPERATIONS)}")
    version = request.get("version", PROTOCOL_VERSION)
    if version != PROTOCOL_VERSION or isinstance(version, bool):
        raise ControlError(
            f"this broker supports only protocol version {PROTOCOL_VERSION}, not the requested one; "
            "run the same zmqio release on the broker and on all nodes"
        )
    return request


class ControlServer:
    """Serves the control socket.

    Args:
        socket: a bound ROUTER socket.
        handlers: for each `op`, a function of the request that returns the fields of its response.
        may_read_statistics: decides by the public key of the peer (Z85; empty without keys).

    Attributes:
        answered: number of answered requests.
        rejected: number of requests answered with an error.
        last_rejection: text of the last error.
        read_frames, read_bytes: of all requests.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        handlers: Mapping[str, Callable[[Response], Response]],
        may_read_statistics: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.answered = 0
        self.rejected = 0
        self.last_rejection = ""
        self.read_frames = self.read_bytes = 0
        self._socket = socket
        self._handlers = handlers
        self._may_read_statistics = may_read_statistics

    def run(self) -> None:
        """Serve until the context is terminated."""
        while True:
            identity, *received = self._socket.recv_multipart(copy=False)
            frames = [frame.bytes for frame in received]
            self.read_frames += len(frames)
            self.read_bytes += sum(map(len, frames))
            response = self.answer(frames, peer_property(identity, "User-Id"))
            # A ROUTER drops what it cannot deliver: a client that has left or does not read costs nothing.
            self._socket.send_multipart([identity.bytes, *frames[:-1][:1], response])

    def answer(self, frames: list[bytes], key: str = "") -> bytes:
        """Return the encoded response to the frames of one request of the peer with this public key."""
        try:
            request = parse_request(frames)
            self._check_rights(request, key)
        except ControlError as error:
            self.rejected += 1
            self.last_rejection = str(error)
            return _encode({"error": str(error), "version": PROTOCOL_VERSION})
        self.answered += 1
        response = {"op": request["op"], "version": PROTOCOL_VERSION, **self._handlers[request["op"]](request)}
        if "id" in request:
            response["id"] = request["id"]
        return _encode(response)

    def _check_rights(self, request: Response, key: str) -> None:
        if request["op"] == "statistics" and not self._may_read_statistics(key):
            raise ControlError("a sender's key may not read statistics")


def _unpack(data: bytes) -> Any:
    """Unpack a request. It is first read without building anything.

    msgpack allocates the length that a list claims: 64 KB of nested claims would take 500 MB.
    """
    unpacker = msgpack.Unpacker(read_size=1, max_buffer_size=len(data))
    unpacker.feed(data)
    unpacker.skip()
    return msgpack.unpackb(data)


def _encode(response: Response) -> bytes:
    packed: bytes = msgpack.packb(response)
    return packed
