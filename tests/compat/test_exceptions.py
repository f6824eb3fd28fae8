"""Tests of `zmqio.compat.exceptions`."""

import pytest

from zmqio.compat import exceptions
from zmqio.exceptions import ConnectRefused


def test_a_refusal_carries_its_values_as_in_python_socketio() -> None:
    refusals = [
        exceptions.ConnectionRefusedError(*args) for args in ((), ("no",), ("no", 1), ("no", 1, [2]), (7,))
    ]
    assert [refusal.error_args for refusal in refusals] == [
        {"message": "Connection rejected by server"},
        {"message": "no"},
        {"message": "no", "data": 1},
        {"message": "no", "data": [1, [2]]},
        {"message": "7"},
    ]
    assert all(isinstance(refusal, ConnectRefused) for refusal in refusals)
    assert isinstance(refusals[0], exceptions.ConnectionError)
    assert isinstance(refusals[0], exceptions.SocketIOError)


def test_errors_of_clients_are_not_offered() -> None:
    with pytest.raises(ImportError, match="import clients from `socketio`"):
        from zmqio.compat.exceptions import DisconnectedError  # noqa: F401
