"""Functions that could never be called, and names that could never fire, are errors when they are registered."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from zmqio.server.namespace_handlers import NamespaceHandlers, event
from zmqio.server.server import Server
from zmqio.server.signatures import Arity, arity_of, check_function


async def numbers(socket: Any) -> AsyncIterator[int]:
    """An async generator."""
    yield 1


def plain_numbers(socket: Any) -> Iterator[int]:
    """A generator."""
    yield 1


def keyword_only(socket: Any, *, room: str) -> None:
    """A function that cannot be called with positional arguments alone."""


@pytest.mark.parametrize(
    ("register", "error"),
    [
        (
            lambda io: io.on("connect", lambda sid, environ, auth: None),
            r"\(socket, auth\); `socket.handshake` has",
        ),
        (lambda io: io.on("connection", lambda sid, environ, auth: None), "called with"),
        (lambda io: io.on("disconnect", lambda socket, reason, more: None), r"called with \(socket, reason\)"),
        (lambda io: io.on("x", numbers), "is a generator"),
        (lambda io: io.on("x", plain_numbers), "is a generator"),
        (lambda io: io.on("x", keyword_only), "requires the keyword argument 'room'"),
        (lambda io: io.on("*", lambda socket: None), r"called with \(socket, event, \*args\)"),
        (lambda io: io.use(lambda socket, following: None), "there is no `next`"),
        (lambda io: io.on_any(lambda event: None), r"called with \(socket, event, \*args\)"),
        (lambda io: io.on_room("join-room")(lambda room: None), r"called with \(room, sid\)"),
        (lambda io: io.on_node("left")(lambda node_id: None), r"called with \(node_id, reason\)"),
        (lambda io: io.on_bus_gap(lambda: None), "its first argument must be the gap"),
        (lambda io: io.on(numbers), r"takes the name of an event, not a function; write @on\('numbers'\)"),
        (lambda io: io.on_server_side(numbers), r"write @on_server_side\('numbers'\)"),
        (lambda io: event(numbers), r"write @event\('numbers'\)"),
        (lambda io: io.on(5), r"did you mean on\('5'\)"),
        (lambda io: io.register("/chat", PortedHandlers()), "`socket.handshake` has"),
    ],
)
def test_registration_that_would_never_work_is_an_error(register: Callable[[Server], Any], error: str) -> None:
    with pytest.raises(TypeError, match=error):
        register(Server(adapter=None))


class PortedHandlers(NamespaceHandlers):
    """Handlers as python-socketio has them."""

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Not called in this way."""


def test_connection_is_an_alias_of_connect() -> None:
    io = Server(adapter=None)
    io.on("connection", lambda socket: None)
    with pytest.raises(ValueError, match="already has a handler"):
        io.on("connect", lambda socket: None)


def test_function_may_omit_trailing_arguments_where_that_is_allowed() -> None:
    assert check_function(lambda socket: None, "handler", "socket", "auth", may_omit=True) == Arity(1, 1)
    assert check_function(lambda *args: None, "handler", "socket", "auth") == Arity(0, None)
    assert arity_of(lambda a, b=1: None) == Arity(1, 2)
