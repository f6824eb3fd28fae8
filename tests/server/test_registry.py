"""`Registry` alone: what a child inherits, and what it has of its own."""

import pytest

from zmqio.server.registry import Registration, Registry


class Place(Registration):
    """Something to register with."""

    def __init__(self, inherited: Registry | None = None) -> None:
        self._registry = Registry("/x", inherited)

    @property
    def registry(self) -> Registry:
        return self._registry


def test_child_inherits_also_what_comes_later_and_may_have_its_own() -> None:
    parent = Place()
    child = Place(parent.registry)
    parent.on("a", lambda socket: "parent")
    parent.on("b", lambda socket: "parent")
    assert not child.registry.used
    child.on("b", lambda socket: "child")
    assert child.registry.used
    found = [child.registry.handlers.get(event) for event in "abc"]
    assert [handler and handler.function(None) for handler in found] == ["parent", "child", None]


def test_middleware_and_listeners_of_the_parent_come_first() -> None:
    parent, heard = Place(), []
    child = Place(parent.registry)
    child.use(lambda socket: None)
    parent.use(lambda socket: heard.append("parent"))
    child.registry.middleware[0](None)  # type: ignore[arg-type]
    assert (heard, len(child.registry.middleware), len(parent.registry.middleware)) == (["parent"], 2, 1)
    child.on_any(lambda *_: None)
    parent.on_any(print)
    assert child.registry.any_listeners[0] is print
    assert len(parent.registry.any_listeners) == 1


async def test_room_and_server_side_listeners_are_inherited() -> None:
    parent, heard = Place(), []
    child = Place(parent.registry)
    parent.on_room("create-room")(heard.append)
    parent.on_server_side("sum")(lambda a, b: heard.append(a + b))
    child.registry.listeners.room_event("create-room", "r", None)
    await child.registry.listeners.server_side_event(["sum", 1, 2], None)
    assert heard == ["r", 3]


def test_reserved_name_is_refused_where_it_is_decorated() -> None:
    with pytest.raises(ValueError, match="reserved"):
        Place().on("disconnecting")
