"""All namespaces of a server by name, and the rules by which clients create more of them.

Names that clients choose must not fill the memory, hence three limits. The name of a dynamic namespace has at most
`MAX_DYNAMIC_NAME` characters. At most `max_empty_child_namespaces` empty children are kept; beyond that, the
longest empty are closed (with `cleanup_empty_child_namespaces`, all are closed at once). A client is in at most
`max_namespaces_per_client` namespaces. A child with handlers of its own is never closed.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

from zmqio.config import ServerOptions
from zmqio.exceptions import ProtocolError
from zmqio.logger import get_logger
from zmqio.protocol.packet import check_namespace
from zmqio.protocol.topic import check_name
from zmqio.server.namespace import Namespace
from zmqio.server.parent import ChildNamespace, ParentNamespace, Rule

__all__ = ["MAX_DYNAMIC_NAME", "Namespaces"]

log = get_logger(__name__)

MAX_DYNAMIC_NAME = 255
"""Most characters of a name that a client chose: room for a path with ids; 1,000 such namespaces take 1 MB."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Namespaces:
    """Maps names to namespaces.

    Args:
        ensure_open: starts the server and opens a namespace.
        options: limits of the server.
    """

    def __init__(self, ensure_open: Callable[[Namespace], Awaitable[None]], options: ServerOptions) -> None:
        self._ensure_open = ensure_open
        self._options = options
        self._by_name: dict[str, Namespace] = {}
        self._parents: dict[Rule, ParentNamespace] = {}
        # A closed child that is still referenced is reused when its name returns, so no name ever has two objects.
        self._children: WeakValueDictionary[str, ChildNamespace] = WeakValueDictionary()
        self._empty: dict[str, ChildNamespace] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._by_name))

    def __len__(self) -> int:
        return len(self._by_name)

    def values(self) -> list[Namespace]:
        """Return all current namespaces."""
        return list(self._by_name.values())

    def get_or_create(self, name: str) -> Namespace:
        """Return the namespace of that name. A new one is a child if a pattern matches the name.

        Raises:
            ValueError: the name contains a NUL character, a comma or a question mark.
        """
        if name == "*":
            raise ValueError(
                "namespace '*' is not a pattern; did you mean of(re.compile(''))? It allows every name"
            )
        name = name if name.startswith("/") else f"/{name}"
        if "\0" in name or "," in name or "?" in name:
            raise ValueError(f"namespace {name!r} must not contain a NUL character, a comma or a question mark")
        found = self._by_name.get(name)
        if found is not None:
            return found
        parent = next((parent for parent in self._parents.values() if parent.matches(name)), None)
        if parent is not None or name in self._children:
            return self._child(name, parent)
        self._by_name[name] = Namespace(name, self._ensure_open)
        return self._by_name[name]

    def parent(self, rule: Rule) -> ParentNamespace:
        """Return the parent namespace of that rule; the same rule always gives the same parent.

        Raises:
            TypeError: the rule is neither a pattern of text nor a function.
        """
        if not callable(rule) and not (isinstance(rule, re.Pattern) and isinstance(rule.pattern, str)):
            raise TypeError(f"namespace {rule!r} is not a string, a re.Pattern of text or a function (name, auth)")
        if rule not in self._parents:
            self._parents[rule] = ParentNamespace(rule, self._children_of)
        return self._parents[rule]

    def find(self, name: str, auth: Any) -> Namespace | Awaitable[Namespace | None]:
        """Find the namespace that a client requests.

        Returns:
            A namespace with a fixed name; otherwise an awaitable of one that a rule allows, or of None.
        """
        found = self._by_name.get(name)
        if found is not None and not isinstance(found, ChildNamespace):
            return found
        return self._find_child(name, auth, found)

    async def _find_child(self, name: str, auth: Any, found: ChildNamespace | None) -> Namespace | None:
        if not self._parents or not _may_be_dynamic(name):
            return None
        known = found or self._children.get(name)
        if known is not None:
            return self._child(name) if await known.parent.allows(name, auth) else None
        for parent in list(self._parents.values()):
            if await parent.allows(name, auth):
                # While the rule was evaluated, a namespace of that name may have been created.
                return self._by_name.get(name) or self._child(name, parent)
        return None

    def restore(self, namespace: Namespace) -> None:
        """Make a child available again that was closed because it was empty."""
        if isinstance(namespace, ChildNamespace) and namespace.name not in self._by_name:
            self._by_name[namespace.name] = namespace
            self._add_empty(namespace)

    def _child(self, name: str, parent: ParentNamespace | None = None) -> ChildNamespace:
        child = self._children.get(name)
        if child is None:
            assert parent is not None
            child = self._children[name] = ChildNamespace(name, self._ensure_open, parent, self._on_empty)
        self.restore(child)
        return child

    def _children_of(self, parent: ParentNamespace) -> Mapping[str, Namespace]:
        return {
            name: child
            for name, child in self._by_name.items()
            if isinstance(child, ChildNamespace) and child.parent is parent
        }

    def _on_empty(self, child: ChildNamespace) -> None:
        if self._options.cleanup_empty_child_namespaces:
            self._retire(child)
        else:
            self._add_empty(child)

    def _add_empty(self, child: ChildNamespace) -> None:
        """Record a child as the most recently emptied one, and close the longest empty ones beyond the limit."""
        self._empty.pop(child.name, None)
        if child.registry.used:
            return
        self._empty[child.name] = child
        while len(self._empty) > self._options.max_empty_child_namespaces:
            self._retire(self._empty.pop(next(iter(self._empty))))

    def _retire(self, child: ChildNamespace) -> None:
        if child.is_open:
            child.runtime.tasks.spawn(self._close(child))
        else:
            self._remove_if_empty(child)

    async def _close(self, child: ChildNamespace) -> None:
        # No client can enter between these two lines: `close` marks the child as closed before its first await.
        if self._remove_if_empty(child):
            await child.close()
            log.debug("empty_namespace_closed", namespace=child.name)

    def _remove_if_empty(self, child: ChildNamespace) -> bool:
        if child.occupied or child.registry.used or self._by_name.get(child.name) is not child:
            return False
        del self._by_name[child.name]
        self._empty.pop(child.name, None)
        return True


def _may_be_dynamic(name: str) -> bool:
    """Whether a client may choose this name: short, printable, and valid in a packet and in a topic."""
    if len(name) > MAX_DYNAMIC_NAME or "?" in name or _CONTROL.search(name) is not None:
        return False
    try:
        check_namespace(name)
        check_name(name)
    except ProtocolError:
        return False
    return True
