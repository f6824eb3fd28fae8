"""A parent namespace: a rule for names, and the namespaces that clients made by connecting to such a name.

Source: `ParentNamespace` of Socket.IO v4, https://socket.io/docs/v4/namespaces/#dynamic-namespaces. Other than
there the rule is asked for each client and not only for the first: what it says of `auth` then holds for all, and
on every node alike.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeAlias

import structlog

from zmqio.adapter.base import Target
from zmqio.exceptions import BusError
from zmqio.server.broadcast import Broadcast
from zmqio.server.namespace import Namespace
from zmqio.server.registry import Registration, Registry
from zmqio.server.targeting import Targeting

__all__ = ["ChildNamespace", "ParentBroadcast", "ParentNamespace", "Rule"]

log = structlog.get_logger(__name__)

Rule: TypeAlias = re.Pattern[str] | Callable[[str, Any], bool | Awaitable[bool]]
"""A pattern that is searched for in the name, or a function of the name and the auth payload."""

Find: TypeAlias = Callable[["ParentNamespace"], Mapping[str, Namespace]]


class ChildNamespace(Namespace):
    """A namespace that was made by a rule. Its parent's handlers and middleware are its own.

    Args:
        vacated: told when its last client has gone.
    """

    def __init__(
        self,
        name: str,
        open_me: Callable[[Namespace], Awaitable[None]],
        parent: "ParentNamespace",
        vacated: Callable[["ChildNamespace"], None],
    ) -> None:
        super().__init__(name, open_me, inherited=parent.registry)
        self.parent = parent
        self._tell_vacated = vacated

    def vacated(self) -> None:
        """Nobody is in it any more, and nobody enters."""
        self._tell_vacated(self)


class ParentNamespace(Registration):
    """What holds for every namespace that a rule allows.

    Handlers, middleware and listeners that are registered here apply to every child, also to those that are there
    already. A handler that a child has of its own goes before that of its parent.

    Args:
        rule: which names there are.
        find_children: gives the children of a parent: name -> namespace.
    """

    def __init__(self, rule: Rule, find_children: Find) -> None:
        self._rule = rule
        self._find_children = find_children
        self._registry = Registry(repr(rule))

    def __repr__(self) -> str:
        return f"<ParentNamespace {self._rule!r} children={len(self.children)}>"

    @property
    def registry(self) -> Registry:
        """What was registered."""
        return self._registry

    @property
    def children(self) -> Mapping[str, Namespace]:
        """Name -> namespace, those that are there in this process now."""
        return self._find_children(self)

    def matches(self, name: str) -> bool:
        """Whether the rule is a pattern, and allows `name`."""
        return isinstance(self._rule, re.Pattern) and self._rule.search(name) is not None

    async def allows(self, name: str, auth: Any) -> bool:
        """Whether a client may make or enter the namespace `name`; a rule that raises says no, and is logged."""
        if isinstance(self._rule, re.Pattern):
            return self.matches(name)
        try:
            answer = self._rule(name, auth)
            return bool(await answer if inspect.isawaitable(answer) else answer)
        except Exception:
            log.exception("namespace_rule_failed", rule=repr(self._rule), namespace=name)
            return False

    def broadcast(self) -> "ParentBroadcast":
        """An operation that reaches every socket of every child."""
        return ParentBroadcast(lambda: list(self.children.values()))

    def to(self, *rooms: str) -> "ParentBroadcast":
        """An operation that reaches the members of rooms, in every child."""
        return self.broadcast().to(*rooms)

    in_ = to

    def except_(self, *rooms: str) -> "ParentBroadcast":
        """An operation that reaches everybody but the members of rooms, in every child."""
        return self.broadcast().except_(*rooms)

    @property
    def local(self) -> "ParentBroadcast":
        """An operation that reaches only sockets of this process."""
        return self.broadcast().local

    @property
    def volatile(self) -> "ParentBroadcast":
        """An operation that a client misses which cannot take it now."""
        return self.broadcast().volatile

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to every socket of every child, see `ParentBroadcast.emit`."""
        await self.broadcast().emit(event, *args)

    send = emit


class ParentBroadcast(Targeting):
    """Reaches sockets of all children; there is nothing but `emit`, as in the JavaScript server.

    Args:
        children: gives the children as they are when it emits.
        target: whom it reaches in each.
    """

    __slots__ = ("_children",)

    def __init__(
        self,
        children: Callable[[], Collection[Namespace]],
        target: Target = Target(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(target)
        self._children = children

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event: in each child *that this process has*, to its sockets on every node.

        A namespace that only other nodes have clients in is not reached: send from there, or name it.

        Raises:
            PacketError: an argument is neither JSON-like nor bytes; nobody got it.
            BusError: other nodes did not get it in at least one child; sockets of this process did.
        """
        failure: BusError | None = None
        for child in self._children():
            try:
                await Broadcast(child, self._target).emit(event, *args)
            except BusError as error:
                failure = error
        if failure is not None:
            raise failure

    send = emit

    def _with(self, target: Target) -> "ParentBroadcast":
        return ParentBroadcast(self._children, target)
