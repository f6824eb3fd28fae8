"""Options reject invalid values; the error names the option, its value and the reason."""

from typing import Any

import pytest

from zmqio.config import (
    BusOptions,
    EngineOptions,
    HttpLimits,
    ServerOptions,
    address_from_environment,
    given_options,
    http_limits_from_environment,
    node_tag_from_environment,
)
from zmqio.exceptions import ConfigError


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: EngineOptions(ping_interval_s=0), "ping_interval_s=0"),
        (lambda: EngineOptions(session_buffer_bytes=-1), "session_buffer_bytes=-1"),
        (lambda: EngineOptions(transports=()), "transports"),
        (lambda: EngineOptions(transports=("webtransport",)), "webtransport"),  # type: ignore[arg-type]
        (lambda: ServerOptions(max_pending_events=0), "max_pending_events=0"),
        (lambda: BusOptions(prefix="a/b"), "prefix='a/b'"),
        (lambda: BusOptions(prefix=""), "prefix=''"),
        (lambda: BusOptions(heartbeat_s=0), "heartbeat_s=0"),
    ],
)
def test_error_names_the_invalid_option_and_its_value(make: object, names: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()  # type: ignore[operator]
    assert names in str(caught.value)


def test_adapter_and_node_tag_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZMQIO_ADAPTER", raising=False)
    monkeypatch.delenv("ZMQIO_NODE_TAG", raising=False)
    assert (address_from_environment(), node_tag_from_environment()) == (None, None)
    monkeypatch.setenv("ZMQIO_ADAPTER", "ipc:///run/zmqio")
    monkeypatch.setenv("ZMQIO_NODE_TAG", "wrk1")
    assert (address_from_environment(), node_tag_from_environment()) == ("ipc:///run/zmqio", "wrk1")


def test_drain_time_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZMQIO_DRAIN_S", raising=False)
    assert ServerOptions().drain_s == 0
    monkeypatch.setenv("ZMQIO_DRAIN_S", "2.5")
    assert ServerOptions().drain_s == 2.5
    assert ServerOptions(drain_s=0).drain_s == 0
    monkeypatch.setenv("ZMQIO_DRAIN_S", "soon")
    with pytest.raises(ConfigError, match=r"ZMQIO_DRAIN_S='soon' is not a number"):
        ServerOptions()


@pytest.mark.parametrize("drain_s", [-1, float("inf"), float("nan")])
def test_invalid_drain_time_is_rejected(drain_s: float) -> None:
    with pytest.raises(ConfigError, match="drain_s"):
        ServerOptions(drain_s=drain_s)


def test_http_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_HEAD_BYTES", "HEAD_LIMIT_S", "WRITE_TIMEOUT_S"):
        monkeypatch.delenv(f"ZMQIO_{name}", raising=False)
    assert http_limits_from_environment() == HttpLimits(1 << 15, 10, 60)
    monkeypatch.setenv("ZMQIO_MAX_HEAD_BYTES", "1000")
    monkeypatch.setenv("ZMQIO_WRITE_TIMEOUT_S", "0.5")
    assert http_limits_from_environment() == HttpLimits(1000, 10, 0.5)


@pytest.mark.parametrize("text", ["0", "-1", "abc", "1.5", "inf", "nan"])
def test_http_limits_must_be_numbers_greater_than_zero(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZMQIO_MAX_HEAD_BYTES", text)
    with pytest.raises(ConfigError, match=f"ZMQIO_MAX_HEAD_BYTES='{text}' must be a number greater than 0"):
        http_limits_from_environment()


def test_subprotocols_are_a_list() -> None:
    with pytest.raises(ConfigError, match="subprotocols='chat'"):
        EngineOptions(subprotocols="chat")


@pytest.mark.parametrize("cookie", [True, 5, "", {"name": True}, {"name": "io", "Max-Age": 3600}])
def test_cookie_that_cannot_be_sent_is_refused(cookie: Any) -> None:
    with pytest.raises(ConfigError, match="cookie"):
        EngineOptions(cookie=cookie)


def test_grace_period_of_slow_clients_may_be_0() -> None:
    assert EngineOptions(slow_client_grace_s=0).slow_client_grace_s == 0
    with pytest.raises(ConfigError, match="slow_client_grace_s"):
        EngineOptions(slow_client_grace_s=-1)


def test_only_options_without_their_default_are_given() -> None:
    assert given_options(BusOptions()) == {}
    assert given_options(BusOptions(prefix="shop", max_message_bytes=1 << 20)) == {
        "prefix": "shop",
        "max_message_bytes": 1 << 20,
    }
