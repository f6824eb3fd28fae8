"""Tests of `zmqio.compat.options`."""

import json
from typing import Any

import pytest
import socketio

from zmqio.compat import AsyncServer
from zmqio.compat.options import parser_for, server_options
from zmqio.exceptions import ConfigError


def test_options_get_the_names_and_units_of_zmqio() -> None:
    given = {
        "ping_interval": 5,
        "ping_timeout": 4,
        "max_http_buffer_size": 100,
        "compression_threshold": 1,
        "async_handlers": False,
        "transports": "websocket",
        "cors_allowed_origins": [],
        "allow_upgrades": False,
        "async_mode": "asgi",
        "logger": True,
        "engineio_logger": True,
        "monitor_clients": True,
        "max_sessions": 7,
    }
    assert server_options(given) == {
        "ping_interval_s": 5,
        "ping_timeout_s": 4,
        "max_payload_bytes": 100,
        "compression_threshold_bytes": 1,
        "concurrent_events": False,
        "transports": ("websocket",),
        "cors_allowed_origins": (),
        "allow_upgrades": False,
        "max_sessions": 7,
    }


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("async_mode", "aiohttp"),
        ("logger", object()),
        ("engineio_logger", object()),
        ("monitor_clients", False),
        ("ping_interval", (25, 5)),
        ("json", socketio),
        ("serializer", object()),
        ("client_manager", socketio.AsyncManager()),
    ],
)
def test_values_without_a_counterpart_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ConfigError):
        AsyncServer(**{option: value})


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no option 'ping_intervall'"):
        AsyncServer(ping_intervall=3)


def test_each_option_of_python_socketio_is_known() -> None:
    AsyncServer(
        client_manager=None,
        logger=True,
        serializer="msgpack",
        json=json,
        async_handlers=True,
        always_connect=True,
        namespaces="*",
        async_mode="asgi",
        ping_interval=25,
        ping_timeout=20,
        max_http_buffer_size=1_000_000,
        allow_upgrades=True,
        http_compression=True,
        compression_threshold=1024,
        cookie={"name": "io", "SameSite": "Lax"},
        cors_allowed_origins="*",
        cors_credentials=True,
        monitor_clients=True,
        transports=["polling", "websocket"],
        engineio_logger=False,
    )


def test_the_serializer_decides_the_parser() -> None:
    assert parser_for("default", None) is None
    assert type(parser_for("msgpack", json)).__name__ == "MsgpackParser"
