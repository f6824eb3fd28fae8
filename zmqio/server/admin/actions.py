"""The actions of the admin page: emit to sockets, move them between rooms, and disconnect them, on all nodes.

Each node acts on its own sockets: the node of the page may not have the namespace of an action, if clients create
it by connecting.

Source: `registerFeatureHandlers` of @socket.io/admin-ui 0.5. A `filter` is a room or a socket id; none means all.
"""

from collections.abc import Callable
from typing import Any

from zmqio.exceptions import ProtocolError
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.server.admin.clip import clip
from zmqio.server.namespace import Namespace
from zmqio.server.socket import Socket

__all__ = ["Actions"]

log = get_logger(__name__)


class Actions:
    """Handles the events of the page in the admin namespace.

    Args:
        admin: the admin namespace.
        find: returns an open namespace of this node by its name, or None.
    """

    def __init__(self, admin: Namespace, find: Callable[[str], Namespace | None]) -> None:
        self._admin = admin
        self._find = find
        self._notices = LimitedLog(log)

    def register(self) -> None:
        """Register the handlers."""
        self._admin.on("emit", self._emit)
        self._admin.on("join", self._join)
        self._admin.on("leave", self._leave)
        self._admin.on("_disconnect", self._disconnect)
        self._admin.on_server_side("act")(self._act_here)

    async def _emit(self, page: Socket, namespace: Any, to: Any, event: Any, *args: Any) -> None:
        await self._act(page, "emit", namespace, to, [event, *args])

    async def _join(self, page: Socket, namespace: Any, room: Any, to: Any = None) -> None:
        await self._act(page, "join", namespace, to, [room])

    async def _leave(self, page: Socket, namespace: Any, room: Any, to: Any = None) -> None:
        await self._act(page, "leave", namespace, to, [room])

    async def _disconnect(self, page: Socket, namespace: Any, close: Any = False, to: Any = None) -> None:
        await self._act(page, "disconnect", namespace, to, [bool(close)])

    async def _act(self, page: Socket, action: str, namespace: Any, to: Any, values: list[Any]) -> None:
        facts = {"action": action, "namespace": clip(namespace), "to": clip(to), "address": page.handshake.address}
        if not isinstance(namespace, str) or not isinstance(to, str | None):
            self._notices.warning("admin_action_refused", error="namespace or filter is not a text", **facts)
            return
        try:
            await self._act_here(action, namespace, to, values)
        except (ProtocolError, TypeError) as error:
            self._notices.warning("admin_action_refused", error=str(error), **facts)
            return
        self._notices.info("admin_action_applied", **facts)
        await self._admin.server_side_emit("act", action, namespace, to, values)

    async def _act_here(self, action: str, name: str, to: str | None, values: list[Any]) -> None:
        """Act on the sockets of this process."""
        namespace = self._find(name)
        if namespace is None:
            return
        target = namespace.local.to(to) if to else namespace.local
        match action:
            case "emit":
                await target.emit(*values)
            case "join":
                await target.sockets_join(*values)
            case "leave":
                await target.sockets_leave(*values)
            case "disconnect":
                await target.disconnect_sockets(close=values[0])
