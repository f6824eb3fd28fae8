"""All namespaces of a server by name, and the rules that make more of them when clients ask.

A client's choice of names must not fill the memory. So the name of a dynamic namespace is at most
`MAX_DYNAMIC_NAME` characters long; at most `max_empty_child_namespaces` children that nobody is in are kept (the
longest empty go first; with `cleanup_empty_child_namespaces` none is); and a client is in at most
`max_namespaces_per_client`. A child that the application gave a handler of its own stays.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

import structlog

from zmqio.config import ServerOptions
from zmqio.exceptions import ProtocolError
from zmqio.protocol.packet import check_namespace
from zmqio.protocol.topic import check_name
from zmqio.server.namespace import Namespace
from zmqio.server.parent import ChildNamespace, ParentNamespace, Rule

__all__ = ["MAX_DYNAMIC_NAME", "Namespaces"]

log = structlog.get_logger(__name__)

MAX_DYNAMIC_NAME = 255
"""Most characters of a name that a client made up: room for a path with ids in it; 1,000 of them are 1 MB."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Namespaces:
    """Name -> namespace.

    Args:
        open_me: opens a namespace and starts the server.
        options: how many children may be empty.
    """

    def __init__(self, open_me: Callable[[Namespace], Awaitable[None]], options: ServerOptions) -> None:
        self._open_me = open_me
        self._options = options
        self._by_name: dict[str, Namespace] = {}
        self._parents: dict[Rule, ParentNamespace] = {}
        # Whoever still holds a child that was closed gets the same object when it comes back: never two of a name.
        self._made: WeakValueDictionary[str, ChildNamespace] = WeakValueDictionary()
        self._empty: dict[str, ChildNamespace] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._by_name))

    def __len__(self) -> int:
        return len(self._by_name)

    def values(self) -> list[Namespace]:
        """All that there are now."""
        return list(self._by_name.values())

    def named(self, name: str) -> Namespace:
        """The namespace of that name, made when it is not there: a child, if a pattern matches.

        Raises:
            ValueError: no namespace can have that name.
        """
        name = name if name.startswith("/") else f"/{name}"
        if "\0" in name or "," in name or "?" in name:
            raise ValueError(f"namespace {name!r} must not have a NUL, a comma or a question mark in it")
        found = self._by_name.get(name)
        if found is not None:
            return found
        parent = next((parent for parent in self._parents.values() if parent.matches(name)), None)
        if parent is not None or name in self._made:
            return self._child(name, parent)
        self._by_name[name] = Namespace(name, self._open_me)
        return self._by_name[name]

    def parent(self, rule: Rule) -> ParentNamespace:
        """The parent of that rule, made when it is not there.

        Raises:
            TypeError: it is neither a pattern of text nor a function.
        """
        if not callable(rule) and not (isinstance(rule, re.Pattern) and isinstance(rule.pattern, str)):
            raise TypeError(f"a namespace is named by text, a re.Pattern or a function (name, auth), not {rule!r}")
        if rule not in self._parents:
            self._parents[rule] = ParentNamespace(rule, self._children_of)
        return self._parents[rule]

    async def find(self, name: str, auth: Any) -> Namespace | None:
        """The namespace that a client asks for, or None: there is none, or its rule does not let the client in."""
        found = self._by_name.get(name)
        if found is not None and not isinstance(found, ChildNamespace):
            return found
        if not self._parents or not _may_be_dynamic(name):
            return None
        known = found or self._made.get(name)
        if known is not None:
            return self._child(name) if await known.parent.allows(name, auth) else None
        for parent in list(self._parents.values()):
            if await parent.allows(name, auth):
                # It may have come up meanwhile, and be no child at all.
                return self._by_name.get(name) or self._child(name, parent)
        return None

    def present(self, namespace: Namespace) -> None:
        """Take a child in again that was closed because it was empty, and is used now."""
        if isinstance(namespace, ChildNamespace) and namespace.name not in self._by_name:
            self._by_name[namespace.name] = namespace
            self._note_empty(namespace)

    def _child(self, name: str, parent: ParentNamespace | None = None) -> ChildNamespace:
        child = self._made.get(name)
        if child is None:
            assert parent is not None
            child = self._made[name] = ChildNamespace(name, self._open_me, parent, self._vacated)
        self.present(child)
        return child

    def _children_of(self, parent: ParentNamespace) -> Mapping[str, Namespace]:
        return {
            name: child
            for name, child in self._by_name.items()
            if isinstance(child, ChildNamespace) and child.parent is parent
        }

    def _vacated(self, child: ChildNamespace) -> None:
        if self._options.cleanup_empty_child_namespaces:
            self._retire(child)
        else:
            self._note_empty(child)

    def _note_empty(self, child: ChildNamespace) -> None:
        """Keep it as the last of the empty ones, and let the first go if there are too many."""
        self._empty.pop(child.name, None)
        if child.registry.used:
            return
        self._empty[child.name] = child
        while len(self._empty) > self._options.max_empty_child_namespaces:
            self._retire(self._empty.pop(next(iter(self._empty))))

    def _retire(self, child: ChildNamespace) -> None:
        if child.is_open:
            child.spawn(self._close(child))
        else:
            self._forget(child)

    async def _close(self, child: ChildNamespace) -> None:
        # Nobody can enter between these two lines and the first await of `close`, by when it is not open any more.
        if self._forget(child):
            await child.close()
            log.debug("empty_namespace_closed", namespace=child.name)

    def _forget(self, child: ChildNamespace) -> bool:
        if child.occupied or child.registry.used or self._by_name.get(child.name) is not child:
            return False
        del self._by_name[child.name]
        self._empty.pop(child.name, None)
        return True


def _may_be_dynamic(name: str) -> bool:
    """Whether a client may make up this name: short, speakable, and possible in a packet and a topic."""
    if len(name) > MAX_DYNAMIC_NAME or "?" in name or _CONTROL.search(name) is not None:
        return False
    try:
        check_namespace(name)
        check_name(name)
    except ProtocolError:
        return False
    return True
