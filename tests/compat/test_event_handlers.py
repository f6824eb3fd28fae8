"""Tests of `zmqio.compat.event_handlers`: the function that python-socketio would find is found."""

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import socketio

from zmqio.compat import AsyncNamespace
from zmqio.compat.event_handlers import EventHandlers, FoundHandler
from zmqio.server.handlers import Handler

SOCKET: Any = SimpleNamespace(id="SID", namespace="/a")


def function(name: str) -> Any:
    return lambda *args: (name, *args)


class Methods(AsyncNamespace):
    """An object with two methods."""

    def on_x(self, *args: Any) -> Any:
        return (f"object {self.namespace}", *args)

    on_connect = on_x


class TheirMethods(socketio.AsyncNamespace):  # type: ignore[misc]
    """The same for python-socketio."""

    on_x = on_connect = Methods.on_x


PLACES = [(namespace, event) for namespace in ("/a", "*") for event in ("x", "*", "connect")]


@pytest.mark.parametrize("event", ["x", "y", "connect"])
async def test_the_order_is_that_of_python_socketio(event: str) -> None:
    """Every combination of the places in which functions and objects can be registered."""
    for chosen in itertools.product([False, True], repeat=len(PLACES) + 2):
        ours, theirs = EventHandlers(), socketio.AsyncServer(async_mode="asgi")
        for (namespace, name), taken in zip(PLACES, chosen, strict=False):
            if taken:
                ours.add(namespace, name, function(f"{namespace} {name}"))
                theirs.on(name, function(f"{namespace} {name}"), namespace)
        for namespace, taken in zip(("/a", "*"), chosen[len(PLACES) :], strict=True):
            if taken:
                ours.add_object(namespace, Methods(namespace))
                theirs.register_namespace(TheirMethods(namespace))
        found = ours.find("/a", event)
        result = None if found is None else await found.call_usable(SOCKET, 1, 2)
        expected = await theirs._trigger_event(event, "/a", "SID", 1, 2)
        assert result == (None if expected is theirs.not_handled else expected), chosen


def test_a_handler_for_a_socket_counts_the_arguments_of_the_event() -> None:
    handlers = EventHandlers()
    handlers.add("*", "*", lambda event, namespace, sid, value, more=None: (event, namespace, sid, value, more))
    found = handlers.find("/a", "news")
    assert found is not None
    handler = found.for_socket()
    assert [handler.accepts(count) for count in (1, 2, 3, 4)] == [False, True, True, False]
    assert handler.function(SOCKET, 1) == ("news", "/a", "SID", 1, None)
    assert handler.function.__qualname__.endswith("<lambda>")


def test_a_later_function_replaces_an_earlier_one() -> None:
    handlers = EventHandlers()
    handlers.add("/a", "x", lambda sid: 1)
    handlers.add("/a", "x", lambda sid: 2)
    found = handlers.find("/a", "x")
    assert found is not None
    assert found.for_socket().function(SOCKET) == 2


@pytest.mark.parametrize(
    ("namespace", "event", "wrong"),
    [
        ("/", "x", lambda: 0),
        ("/", "*", lambda event: 0),
        ("*", "x", lambda namespace: 0),
        ("/", "connect", None),
    ],
)
def test_functions_that_cannot_be_called_are_refused(namespace: str, event: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match="handler of"):
        EventHandlers().add(namespace, event, wrong)


async def test_connect_and_disconnect_may_omit_their_last_arguments() -> None:
    for count in (1, 2, 3):
        handler = Handler(lambda *args: args, 1, count)
        assert (
            await FoundHandler(handler).call_usable(SOCKET, "environ", "auth")
            == ("SID", "environ", "auth")[:count]
        )
