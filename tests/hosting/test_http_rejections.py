"""Requests that are rejected before an application sees them: answers, counters and log."""

import pytest
from structlog.testing import capture_logs

from zmqio.config import HttpLimits
from zmqio.hosting import http_rejections
from zmqio.hosting.http_rejections import (
    MALFORMED,
    MAX_HEAD_FIELDS,
    count_rejection,
    excess_of_fields,
    head_timed_out,
    head_too_large,
    response_to,
)
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.trusted_proxies import MAX_FORWARDED_ADDRESSES

HOST = (b"host", b"x")


def test_answers_name_the_limit_and_the_remedy() -> None:
    limits = HttpLimits(max_head_bytes=300, head_limit_s=0.5)
    assert response_to(head_too_large(limits)).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"larger than 300 bytes; send a shorter query" in response_to(head_too_large(limits))
    assert response_to(head_timed_out(limits)).startswith(b"HTTP/1.1 408 ")
    assert b"within 0.5 seconds" in response_to(head_timed_out(limits))
    head, body = response_to(MALFORMED).split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert f"content-length: {len(body)}".encode() in head
    assert b"connection: close" in head


def test_header_fields_and_forwarded_addresses_are_limited() -> None:
    assert excess_of_fields([HOST] * MAX_HEAD_FIELDS) is None
    assert excess_of_fields([HOST] * (MAX_HEAD_FIELDS + 1)) is not None
    chain = (b"x-forwarded-for", b",".join([b"1.2.3.4"] * (MAX_FORWARDED_ADDRESSES // 2)))
    assert excess_of_fields([chain, HOST, chain]) is None
    excess = excess_of_fields([chain, chain, (b"x-forwarded-for", b"1.2.3.4")])
    assert excess is not None
    assert b"X-Forwarded-For has more than 100 addresses" in response_to(excess)


def test_rejections_are_counted_and_their_log_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logs:
        monkeypatch.setattr(http_rejections, "_log", LimitedLog(get_logger("test")))
        for _ in range(1_000):
            count_rejection(head_too_large(HttpLimits()), ("1.2.3.4", 5))
    assert 0 < len(logs) <= 10
    assert logs[0]["event"] == "connection_rejected"
    assert logs[0]["reason"] == "heads_too_large"
    assert logs[0]["client"] == "1.2.3.4"
    assert logs[0]["option"] == "ZMQIO_MAX_HEAD_BYTES"
    assert "32768" in logs[0]["error"]


def test_log_names_an_option_and_a_client_only_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as logs:
        monkeypatch.setattr(http_rejections, "_log", LimitedLog(get_logger("test")))
        count_rejection(MALFORMED, None)
    assert not {"option", "client"} & logs[0].keys()
