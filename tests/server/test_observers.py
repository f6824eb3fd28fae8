"""`Observers`: functions by kind, free for kinds that nobody observes, harmless when they fail."""

from typing import Any

from structlog.testing import capture_logs

from zmqio.server.observers import KINDS, Observers, notify


class Base:
    """Methods that do nothing, for every kind."""

    def _nothing(self, *args: Any) -> None: ...

    namespace_opened = namespace_closed = connected = disconnected = upgraded = _nothing
    room_joined = room_left = event_received = event_sent = _nothing


class Rooms(Base):
    """Observes two kinds."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def room_joined(self, *args: Any) -> None:
        self.seen.append(args)

    def room_left(self, *args: Any) -> None:
        raise RuntimeError("broken observer")


def test_only_overridden_kinds_have_functions() -> None:
    observers, rooms = Observers(), Rooms()
    assert all(getattr(observers, kind) == () for kind in KINDS)
    assert observers.add(rooms, Base)
    assert {kind for kind in KINDS if getattr(observers, kind)} == {"room_joined", "room_left"}
    observers.remove(rooms)
    assert all(getattr(observers, kind) == () for kind in KINDS)


def test_observer_is_registered_once_and_an_unknown_one_is_ignored() -> None:
    observers, rooms = Observers(), Rooms()
    assert observers.add(rooms, Base)
    assert not observers.add(rooms, Base)
    observers.remove(Rooms())
    assert len(observers.room_joined) == 1


def test_failing_observer_is_logged_and_the_next_one_is_called() -> None:
    observers, first, second = Observers(), Rooms(), Rooms()
    observers.add(first, Base)
    observers.add(second, Base)
    with capture_logs() as logs:
        notify(observers.room_left, "/", "r", "s")
        notify(observers.room_joined, "/", "r", "s")
    assert {line["event"] for line in logs} == {"observer_failed"}
    assert first.seen == second.seen == [("/", "r", "s")]
