"""`Registry`: inherited and own functions of a child."""

import pytest

from zmqio.server.registry import Registration, Registry


class RegistrationOnly(Registration):
    """An object with a registry."""

    def __init__(self, inherited: Registry | None = None) -> None:
        self._registry = Registry("/x", inherited)

    @property
    def registry(self) -> Registry:
        return self._registry


def test_child_inherits_later_registrations_and_may_override_them() -> None:
    parent = RegistrationOnly()
    child = RegistrationOnly(parent.registry)
    parent.on("a", lambda socket: "parent")
    parent.on("b", lambda socket: "parent")
    assert not child.registry.used
    child.on("b", lambda socket: "child")
    assert child.registry.used
    found = [child.registry.handlers.get(event) for event in "abc"]
    assert [handler and handler.function(None) for handler in found] == ["parent", "child", None]


def test_middleware_and_listeners_of_the_parent_come_first() -> None:
    parent, calls = RegistrationOnly(), []
    child = RegistrationOnly(parent.registry)
    child.use(lambda socket: None)
    parent.use(lambda socket: calls.append("parent"))
    child.registry.middleware[0](None)  # type: ignore[arg-type]
    assert (calls, len(child.registry.middleware), len(parent.registry.middleware)) == (["parent"], 2, 1)
    child.on_any(lambda *_: None)
    parent.on_any(print)
    assert child.registry.any_listeners[0] is print
    assert len(parent.registry.any_listeners) == 1


async def test_room_and_server_side_listeners_are_inherited() -> None:
    parent, calls = RegistrationOnly(), []
    child = RegistrationOnly(parent.registry)
    parent.on_room("create-room")(calls.append)
    parent.on_server_side("sum")(lambda a, b: calls.append(a + b))
    child.registry.listeners.room_event("create-room", "r", None)
    await child.registry.listeners.server_side_event(["sum", 1, 2], None)
    assert calls == ["r", 3]


def test_reserved_event_is_refused_by_the_decorator() -> None:
    with pytest.raises(ValueError, match="reserved"):
        RegistrationOnly().on("disconnecting")
