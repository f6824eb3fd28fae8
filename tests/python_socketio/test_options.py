"""Tests of `zmqio.python_socketio.options`."""

import pytest

from zmqio.config import BusOptions, ManagerOptions
from zmqio.exceptions import ConfigError
from zmqio.python_socketio.options import split_options


def test_options_are_those_of_the_manager_and_of_the_bus() -> None:
    assert split_options("AsyncManager", {}) == (ManagerOptions(), BusOptions())
    own, bus = split_options("AsyncManager", {"prefix": "shop", "callback_timeout_s": 60})
    assert (own.callback_timeout_s, bus.prefix) == (60, "shop")


def test_wrong_options_are_named() -> None:
    with pytest.raises(ConfigError, match="callback_timeout_s=0"):
        split_options("AsyncManager", {"callback_timeout_s": 0})
    with pytest.raises(ConfigError, match="slow_client_grace_s=-1"):
        split_options("AsyncManager", {"slow_client_grace_s": -1})
    with pytest.raises(ConfigError, match=r"AsyncManager.*heart_beat_s"):
        split_options("AsyncManager", {"heart_beat_s": 1})
    with pytest.raises(ConfigError, match="'channel' is called `prefix`"):
        split_options("AsyncManager", {"channel": "socketio"})
