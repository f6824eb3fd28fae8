"""A parent namespace: a rule for names, and the namespaces that clients create by connecting to such a name.

Unlike in the JavaScript server, the rule is evaluated for every client and not only for the first one. Its
decision about `auth` therefore applies to all clients, and on every node alike.

Source: `ParentNamespace` of Socket.IO v4, https://socket.io/docs/v4/namespaces/#dynamic-namespaces
"""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeAlias

from zmqio.adapter.base import Target
from zmqio.exceptions import BusError
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.protocol.room_names import Rooms
from zmqio.server.broadcast import Broadcast
from zmqio.server.handlers import call
from zmqio.server.namespace import Namespace
from zmqio.server.registry import Registration, Registry
from zmqio.server.targeting import Targeting

__all__ = ["ChildNamespace", "ParentBroadcast", "ParentNamespace", "Rule"]

log = LimitedLog(get_logger(__name__))

Rule: TypeAlias = re.Pattern[str] | Callable[[str, Any], bool | Awaitable[bool]]
"""A pattern that is searched for in the name, or a function `(name, auth)`."""

FindChildren: TypeAlias = Callable[["ParentNamespace"], Mapping[str, Namespace]]


class ChildNamespace(Namespace):
    """A namespace that a rule allowed. It inherits its parent's handlers, middleware and listeners.

    Args:
        name: the name; starts with `/`.
        ensure_open: starts the server and opens the namespace.
        parent: the parent.
        report_empty: called when the last client of this process has left.
    """

    def __init__(
        self,
        name: str,
        ensure_open: Callable[[Namespace], Awaitable[None]],
        parent: "ParentNamespace",
        report_empty: Callable[["ChildNamespace"], None],
    ) -> None:
        super().__init__(name, ensure_open, inherited=parent.registry)
        self.parent = parent
        self._report_empty = report_empty

    def on_empty(self) -> None:
        """Called when the last client of this process has left and none is entering."""
        self._report_empty(self)


class ParentNamespace(Registration):
    """The common part of all namespaces that a rule allows, as returned by `io.of(pattern)`.

    Example: `rooms = io.of(re.compile(r"^/room-\\d+$"))`

    Handlers, middleware and listeners that are registered here apply to every child, including existing ones. A
    child's own handler takes precedence over its parent's.

    Args:
        rule: decides which names are allowed.
        find_children: returns the children of a parent by name.
    """

    def __init__(self, rule: Rule, find_children: FindChildren) -> None:
        self._rule = rule
        self._find_children = find_children
        self._registry = Registry(repr(rule))

    def __repr__(self) -> str:
        return f"<ParentNamespace {self._rule!r} children={len(self.children)}>"

    @property
    def registry(self) -> Registry:
        """The registered handlers, middleware and listeners."""
        return self._registry

    @property
    def children(self) -> Mapping[str, Namespace]:
        """Name -> namespace, for the children that this process currently has."""
        return self._find_children(self)

    def matches(self, name: str) -> bool:
        """Whether the rule is a pattern that allows `name`."""
        return isinstance(self._rule, re.Pattern) and self._rule.search(name) is not None

    async def allows(self, name: str, auth: Any) -> bool:
        """Whether a client may create or enter the namespace `name`. A rule that raises is logged and rejects."""
        if isinstance(self._rule, re.Pattern):
            return self.matches(name)
        try:
            return bool(await call(self._rule, name, auth))
        except Exception:
            log.error(
                "namespace_rule_failed",
                subject=repr(self._rule),
                rule=repr(self._rule),
                namespace=name,
                exc_info=True,
            )
            return False

    def broadcast(self) -> "ParentBroadcast":
        """Return an operation on every socket of every child."""
        return ParentBroadcast(lambda: list(self.children.values()))

    def to(self, *rooms: Rooms) -> "ParentBroadcast":
        """Return an operation on the members of rooms in every child. Raises as `Broadcast.to`."""
        return self.broadcast().to(*rooms)

    in_ = to

    def except_(self, *rooms: Rooms) -> "ParentBroadcast":
        """Return an operation on every socket of every child except the members of rooms. Raises as `to`."""
        return self.broadcast().except_(*rooms)

    @property
    def local(self) -> "ParentBroadcast":
        """An operation on the sockets of this process only."""
        return self.broadcast().local

    @property
    def volatile(self) -> "ParentBroadcast":
        """An operation whose event a client misses if it cannot receive it immediately."""
        return self.broadcast().volatile

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to every socket of every child of this process; see `ParentBroadcast.emit`."""
        await self.broadcast().emit(event, *args)

    async def send(self, *args: Any) -> None:
        """Send the event `message`: the same as `emit("message", *args)`."""
        await self.emit("message", *args)


class ParentBroadcast(Targeting):
    """An operation on the sockets of all children. It offers only `emit`, as in the JavaScript server.

    Args:
        children: returns the children at the time of the emit.
        target: the sockets to reach in each child.
    """

    __slots__ = ("_children",)

    def __init__(
        self,
        children: Callable[[], Collection[Namespace]],
        target: Target = Target(),  # noqa: B008 - frozen
    ) -> None:
        self._children = children
        self._target = target

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event in each child *that this process has*, to its sockets on every node.

        A namespace that only other nodes have is not reached. Emit from one of those nodes, or name it:
        `io.of("/room-1").emit(...)`.

        Args:
            event: the name of the event.
            args: JSON-like values and bytes.

        Raises:
            PacketError: an argument is neither JSON-like nor bytes, or the event name is reserved. Nothing was
                sent.
            BusError: in at least one child, other nodes did not receive the event. Sockets of this process did.
        """
        failure: BusError | None = None
        for child in self._children():
            try:
                await Broadcast(child, self._target).emit(event, *args)
            except BusError as error:
                failure = error
        if failure is not None:
            raise failure

    async def send(self, *args: Any) -> None:
        """Send the event `message`: the same as `emit("message", *args)`."""
        await self.emit("message", *args)

    def _with(self, target: Target) -> "ParentBroadcast":
        return ParentBroadcast(self._children, target)
