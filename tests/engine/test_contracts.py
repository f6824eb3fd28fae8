"""The contracts around a session are what their implementations offer."""

from typing import get_args

import pytest

from zmqio.engine.contracts import ConnectionEvents, Transport, TransportName
from zmqio.engine.polling import PollingTransport
from zmqio.engine.server import Engine
from zmqio.engine.session import SessionOwner
from zmqio.engine.websocket_transports import AsgiWebSocketTransport, DirectWebSocketTransport


def _members(contract: type) -> set[str]:
    return {name for name in vars(contract) if not name.startswith("_")}


@pytest.mark.parametrize("implementation", [PollingTransport, AsgiWebSocketTransport, DirectWebSocketTransport])
def test_every_outlet_offers_the_whole_contract(implementation: type) -> None:
    assert _members(Transport) == {"ready", "empty", "offer", "flush", "begin_close", "end"}
    assert {name for name in _members(Transport) if not hasattr(implementation, name)} == set()


def test_engine_is_an_owner_of_sessions() -> None:
    methods = _members(SessionOwner) - {"options", "counters", "websockets"}
    assert {name for name in methods if not hasattr(Engine, name)} == set()


def test_layer_above_implements_three_methods() -> None:
    assert _members(ConnectionEvents) == {"message", "upgraded", "closed"}


def test_transports_are_the_two_of_the_protocol() -> None:
    assert set(get_args(TransportName)) == {"polling", "websocket"}
