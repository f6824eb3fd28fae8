"""Events with a signature that type checkers verify.

    said = zmqio.TypedEvent[[str], bool]("chat message")

    @said.on(io)
    async def on_said(socket: zmqio.Socket, text: str) -> bool: ...

    await said.emit(io.to("lobby"), "hello")
    agreed: bool = await said.ask(socket.timeout(5), "hello")

Nothing is checked at run time: a client may send any values.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast

from zmqio.server.registry import Registration
from zmqio.server.socket import Socket

__all__ = ["Asks", "AsksMany", "Emits", "TypedEvent"]

Args = ParamSpec("Args")
Result = TypeVar("Result")


class Emits(Protocol):
    """Sends an event: a server, a namespace, a parent, a broadcast, or a socket (also a remote one)."""

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event."""


class Asks(Protocol):
    """Sends an event to one client and returns its acknowledgement: a socket, or `socket.timeout(5)`."""

    async def emit_with_ack(self, event: str, *args: Any) -> Any:
        """Send an event and wait for the acknowledgement."""


class AsksMany(Protocol):
    """Sends an event to many clients and collects acknowledgements: a server, a namespace or a broadcast."""

    async def emit_with_ack(self, event: str, *args: Any) -> list[Any]:
        """Send an event and collect the acknowledgements."""


class TypedEvent(Generic[Args, Result]):
    """The name of an event, with the types of its values and of its acknowledgement.

    Example: `TypedEvent[[str, int], bool]("move")` has a string and an integer, and is acknowledged with a bool.
    Use None as the result type of an event without acknowledgement.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"TypedEvent({self.name!r})"

    def on(
        self, where: Registration
    ) -> Callable[
        [Callable[Concatenate[Socket, Args], Result | Awaitable[Result]]],
        Callable[Concatenate[Socket, Args], Result | Awaitable[Result]],
    ]:
        """Decorate the handler of this event in a server, a namespace or a parent; see `Namespace.on`."""
        return where.on(self.name)

    async def emit(self, to: Emits, *args: Args.args, **kwargs: Args.kwargs) -> None:
        """Send the event. Raises as `to.emit`, and TypeError for keyword arguments."""
        await to.emit(self.name, *self._values(args, kwargs))

    async def ask(self, whom: Asks, *args: Args.args, **kwargs: Args.kwargs) -> Result:
        """Send the event to one client and return its acknowledgement. Raises as `whom.emit_with_ack`."""
        return cast("Result", await whom.emit_with_ack(self.name, *self._values(args, kwargs)))

    async def ask_all(self, whom: AsksMany, *args: Args.args, **kwargs: Args.kwargs) -> list[Result]:
        """Send the event to many clients and return their acknowledgements. Raises as `whom.emit_with_ack`."""
        return cast("list[Result]", await whom.emit_with_ack(self.name, *self._values(args, kwargs)))

    def _values(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        if kwargs:
            raise TypeError(f"{self!r} does not accept keyword arguments; give {', '.join(kwargs)} by position")
        return args
