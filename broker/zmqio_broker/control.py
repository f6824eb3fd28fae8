"""The control endpoint: answers `hello` and `statistics`, and says what is wrong with anything else.

Requests and answers are msgpack maps, in the last frame; an empty frame before it (REQ sends one, DEALER need not)
is given back. `{"op": "hello", "version": 1}` is answered with
`{"op": "hello", "version": 1, "epoch": ..., "ports" or "paths": {...}, "pid": ..., "release": ..., ...}`,
`{"op": "statistics"}` with the counters, and what is not understood with `{"error": "..."}`. An `id` is given
back.
"""

from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import msgpack
import zmq

__all__ = ["PROTOCOL_VERSION", "Control", "ControlError", "parse_request", "release"]

PROTOCOL_VERSION = 1
_OPERATIONS = ("hello", "statistics")
_MOST_FRAMES = 2

Answer = Mapping[str, Any]  # Any: values of a msgpack map


class ControlError(ValueError):
    """A request that cannot be answered; the text goes to the sender."""


def release() -> str:
    """The release of the distribution that the broker belongs to; "unknown" when run from a source tree."""
    try:
        return metadata.version("zmqio")
    except metadata.PackageNotFoundError:
        return "unknown"


def parse_request(frames: list[bytes]) -> dict[str, Any]:
    """Decode and check a request.

    Args:
        frames: what came behind the sender's identity: `[body]` or `[b"", body]`.

    Raises:
        ControlError: it is not a request; the text says what and why.
    """
    if not frames or len(frames) > _MOST_FRAMES or any(frames[:-1]):
        raise ControlError(f"a request is one frame, or an empty one and one more; this one has {len(frames)}")
    try:
        request = msgpack.unpackb(frames[-1])
    except (ValueError, TypeError) as error:
        raise ControlError(f"a request is a msgpack map; these {len(frames[-1])} bytes are no msgpack") from error
    if not isinstance(request, dict):
        raise ControlError(f"a request is a msgpack map, not {type(request).__name__}")
    if request.get("op") not in _OPERATIONS:
        raise ControlError(f"'op' has to be one of {', '.join(_OPERATIONS)}")
    version = request.get("version", PROTOCOL_VERSION)
    if version != PROTOCOL_VERSION or isinstance(version, bool):
        raise ControlError(
            f"this broker speaks protocol version {PROTOCOL_VERSION} and not the one that was asked for; "
            "run the same zmqio release on the broker and on all nodes"
        )
    return request


class Control:
    """Serves the control socket.

    Attributes:
        answered: how many requests have been answered.
        refused: how many were answered with an error.
        last_refusal: the text of the last error.
    """

    def __init__(self, socket: zmq.Socket[bytes], answers: Mapping[str, Callable[[], Answer]]) -> None:
        self.answered = 0
        self.refused = 0
        self.last_refusal = ""
        self._socket = socket
        self._answers = answers

    def run(self) -> None:
        """Serve until the context is terminated."""
        while True:
            identity, *frames = self._socket.recv_multipart()
            # A ROUTER drops what it cannot deliver: an asker that is gone or does not read costs nothing.
            self._socket.send_multipart([identity, *frames[:-1][:1], self.answer(frames)])

    def answer(self, frames: list[bytes]) -> bytes:
        """Return the encoded answer to the frames of one request."""
        try:
            request = parse_request(frames)
        except ControlError as error:
            self.refused += 1
            self.last_refusal = str(error)
            return _encode({"error": str(error), "version": PROTOCOL_VERSION})
        self.answered += 1
        answer = {"op": request["op"], "version": PROTOCOL_VERSION, **self._answers[request["op"]]()}
        if "id" in request:
            answer["id"] = request["id"]
        return _encode(answer)


def _encode(answer: Answer) -> bytes:
    packed: bytes = msgpack.packb(answer)
    return packed
