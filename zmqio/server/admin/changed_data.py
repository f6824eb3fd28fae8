"""Finds changes of `socket.data`, which pages show. Handlers of events make most of them.

Only sockets whose client has sent an event lately are looked at: comparing the data of every socket at every
report would cost a busy node more than all else that the admin page does.
"""

from typing import Any
from weakref import WeakKeyDictionary

from zmqio.server.admin.clip import clip
from zmqio.server.socket import Socket

__all__ = ["MAX_ACTIVE", "ChangedData"]

MAX_ACTIVE = 200
"""Sockets whose data is compared at one report; comparing one takes about 20 us."""
LOOKS = 2
"""Reports at which the data of an active socket is compared: its handler may still run at the first."""


class ChangedData:
    """Remembers what pages have been shown of the data of active sockets."""

    def __init__(self) -> None:
        self._shown: WeakKeyDictionary[Socket, Any] = WeakKeyDictionary()
        self._active: dict[Socket, int] = {}

    def note_shown(self, socket: Socket, data: Any) -> None:
        """Note what is shown of a socket that has just connected."""
        self._shown[socket] = data

    def note_event(self, socket: Socket) -> None:
        """Note that a client has sent an event; its handler may change the data."""
        if len(self._active) < MAX_ACTIVE:
            self._active[socket] = LOOKS

    def forget(self) -> None:
        """Forget all sockets: no page is open."""
        self._shown.clear()
        self._active.clear()

    def take(self) -> list[tuple[Socket, Any]]:
        """Return the active sockets whose data has changed, each with what pages are to show of it.

        A socket that had connected before a page was opened counts as changed once, because nothing is known about
        the data that the page shows of it.
        """
        active = self._active
        self._active = {socket: looks - 1 for socket, looks in active.items() if looks > 1}
        found = [(socket, clip(socket.data)) for socket in active if socket.connected]
        changed = [(socket, data) for socket, data in found if self._shown.get(socket) != data]
        self._shown.update(changed)
        return changed
