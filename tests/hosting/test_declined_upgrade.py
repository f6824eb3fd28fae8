"""Requests with an offer to upgrade to something else: parsed to their end, and further requests behind them."""

from typing import Any

import pytest

from zmqio.hosting.declined_upgrade import parser_without_upgrade


class Recorder:
    def __init__(self) -> None:
        self.parser: Any = None
        self.steps: list[Any] = []

    def on_message_begin(self) -> None:
        self.steps.append("begin")

    def on_url(self, url: bytes) -> None:
        self.steps.append(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.steps.append((name, value))

    def on_headers_complete(self) -> None:
        self.steps.append("head")

    def on_body(self, body: bytes) -> None:
        self.steps.append(body)

    def on_message_complete(self) -> None:
        assert self.parser is not None
        self.steps.append("end")


@pytest.mark.parametrize(
    ("headers", "body", "steps"),
    [
        ([], b"", ["end"]),
        ([(b"content-length", b"3")], b"abc", [b"abc", "end"]),
        ([(b"transfer-encoding", b"chunked")], b"3\r\nabc\r\n0\r\n\r\n", [b"abc", "end"]),
        ([(b"upgrade", b"h2c"), (b"connection", b"upgrade")], b"", ["end"]),
    ],
)
def test_body_is_parsed_and_then_the_next_request(
    headers: list[tuple[bytes, bytes]], body: bytes, steps: list[Any]
) -> None:
    recorder = Recorder()
    parser = parser_without_upgrade(recorder, headers)
    parser.feed_data(body + b"GET /2 HTTP/1.1\r\nA: b\r\n\r\n")
    assert recorder.steps == [*steps, "begin", b"/2", (b"A", b"b"), "head", "end"]
