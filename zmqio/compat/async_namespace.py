"""`AsyncNamespace`: the event handlers of a namespace as the methods of a class."""

from collections.abc import Callable
from functools import partial
from typing import Any

from zmqio.compat.client_operations import ClientOperations, SavedSession
from zmqio.exceptions import ConfigError
from zmqio.server.handlers import LIFECYCLE_EVENTS, Handler
from zmqio.server.signatures import arity_of

__all__ = ["AsyncNamespace"]


class AsyncNamespace:
    """Base class for classes whose methods `on_NAME` handle the events of a namespace.

    Example: `sio.register_namespace(Chat("/chat"))`, where `Chat` is a subclass

    The operations are those of the server, by default in the namespace of the object. They call the server with
    the keywords of python-socketio, so that an application may override them there.

    Args:
        namespace: its name; `*` for all namespaces that have no handlers of their own. None means `/`.

    Attributes:
        namespace: as given, or `/`.
    """

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace or "/"
        self._server: ClientOperations | None = None
        self._methods: dict[str, Handler] = {}

    @property
    def server(self) -> Any:
        """The `AsyncServer` that the object is registered for; any type, because applications extend it.

        Raises:
            ConfigError: the object is not registered.
        """
        if self._server is None:
            raise ConfigError(f"{type(self).__name__} is not registered; call `register_namespace` of the server")
        return self._server

    def attached(self, server: ClientOperations) -> None:
        """Called when the object is registered."""
        self._server = server

    def handler_of(self, event: str) -> Handler | None:
        """Return the method for an event; `trigger_event` if a subclass overrides it."""
        if type(self).trigger_event is not AsyncNamespace.trigger_event:
            return Handler(partial(self.trigger_event, event), 0, None)
        return self._method(event)

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Call the method for an event; a subclass may override this to dispatch in another way.

        Args:
            event: the name of the event.
            args: the session id, then the values of the event.

        Returns:
            The acknowledgement.
        """
        method = self._method(event)
        if method is None:
            return None
        return await method.call(*(method.usable(args) if event in LIFECYCLE_EVENTS else args))

    def _method(self, event: str) -> Handler | None:
        known = self._methods.get(event)
        if known is None and callable(method := getattr(self, f"on_{event}", None)):
            known = self._methods[event] = Handler(method, *arity_of(method))
        return known

    async def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Send an event; see `AsyncServer.emit`."""
        await self.server.emit(
            event,
            data=data,
            to=to,
            room=room,
            skip_sid=skip_sid,
            namespace=namespace or self.namespace,
            callback=callback,
            ignore_queue=ignore_queue,
        )

    async def send(
        self,
        data: Any,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> None:
        """Send the event `message`; see `AsyncServer.emit`."""
        await self.server.send(
            data,
            to=to,
            room=room,
            skip_sid=skip_sid,
            namespace=namespace or self.namespace,
            callback=callback,
            ignore_queue=ignore_queue,
        )

    async def call(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = None,
        ignore_queue: bool = False,
    ) -> Any:
        """Send an event to one client and return its acknowledgement; see `AsyncServer.call`."""
        return await self.server.call(
            event,
            data=data,
            to=to,
            sid=sid,
            namespace=namespace or self.namespace,
            timeout=timeout,
            ignore_queue=ignore_queue,
        )

    async def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """Put a client in a room; see `AsyncServer.enter_room`."""
        await self.server.enter_room(sid, room, namespace=namespace or self.namespace)

    async def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """Take a client out of a room; see `AsyncServer.leave_room`."""
        await self.server.leave_room(sid, room, namespace=namespace or self.namespace)

    async def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Take every client out of a room; see `AsyncServer.close_room`."""
        await self.server.close_room(room, namespace=namespace or self.namespace)

    def rooms(self, sid: str, namespace: str | None = None) -> list[str]:
        """Return the rooms of a client; see `AsyncServer.rooms`."""
        rooms: list[str] = self.server.rooms(sid, namespace=namespace or self.namespace)
        return rooms

    async def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """Return the session of a client; see `AsyncServer.get_session`."""
        session: dict[str, Any] = await self.server.get_session(sid, namespace=namespace or self.namespace)
        return session

    async def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> None:
        """Replace the session of a client; see `AsyncServer.save_session`."""
        await self.server.save_session(sid, session, namespace=namespace or self.namespace)

    def session(self, sid: str, namespace: str | None = None) -> SavedSession:
        """Return the session of a client as a context manager; see `AsyncServer.session`."""
        session: SavedSession = self.server.session(sid, namespace=namespace or self.namespace)
        return session

    async def disconnect(self, sid: str, namespace: str | None = None) -> None:
        """Disconnect a client; see `AsyncServer.disconnect`."""
        await self.server.disconnect(sid, namespace=namespace or self.namespace)
