"""Errors carry their data, and their text says what to do."""

import copy
import pickle

import pytest

import zmqio.exceptions as errors

MADE = [
    errors.MessageTooLargeError(9, 8),
    errors.BusOverflowError(10, 2_000),
    errors.RequestTimeoutError("late", responses=[1, b"2"], expected=3, missing=["n"]),
    errors.VersionError(9, 1),
    errors.ConnectRefused("why", {"code": 7}),
    errors.ServerClosedError(),
    errors.ConfigError("a value"),
]


def test_every_public_error_is_in_the_tree_and_drawn_in_the_docstring() -> None:
    assert errors.__doc__ is not None
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.ZmqioError)
        assert name in errors.__doc__


def test_limits_are_named_with_their_values() -> None:
    too_large = errors.MessageTooLargeError(9, 8)
    assert (too_large.size_bytes, too_large.limit_bytes) == (9, 8)
    assert "9 bytes" in str(too_large)
    assert "max_message_bytes" in str(too_large)
    overflow = errors.BusOverflowError(10, 2_000)
    assert (overflow.waiting_messages, overflow.limit_bytes) == (10, 2_000)
    assert "2000 bytes" in str(overflow)
    assert "replay_ring_bytes" in str(overflow)


def test_request_timeout_keeps_the_responses_and_is_a_timeout_error() -> None:
    error = errors.RequestTimeoutError("late", responses=[1, 2], expected=3, missing=["n"])
    assert isinstance(error, TimeoutError)
    assert (error.responses, error.received, error.expected, error.missing) == ([1, 2], 2, 3, ["n"])


def test_version_error_names_both_versions() -> None:
    error = errors.VersionError(9, 1)
    assert "version 9" in str(error)
    assert "supports 1" in str(error)


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_every_error_survives_pickling_and_copying(error, again):
    """An error that cannot be unpickled breaks a whole process pool, not only its own job."""
    other = again(error)
    assert type(other) is type(error)
    assert (str(other), other.args, vars(other)) == (str(error), error.args, vars(error))


def test_state_of_other_base_classes_survives_pickling():
    class Unreadable(errors.BusError, OSError):
        pass

    globals()["Unreadable"] = Unreadable
    Unreadable.__qualname__ = "Unreadable"
    error = Unreadable(2, "nope", "broker.toml")
    other = pickle.loads(pickle.dumps(error))
    assert (str(other), other.errno, other.filename) == (str(error), 2, "broker.toml")
