"""The adapter of one process: rooms and delivery here. Also the part of every other adapter that is here.

`deliver` is where what was emitted here and what came from other nodes meet. Nothing in this module can publish.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Any, ClassVar

from zmqio.adapter.base import (
    DONE,
    Adapter,
    Health,
    Identity,
    LocalSockets,
    NodeEvents,
    SocketDescription,
    TagClash,
    Target,
)
from zmqio.adapter.room_queue import RoomOperation, RoomOperationQueue
from zmqio.adapter.rooms import RoomIndex
from zmqio.exceptions import RequestTimeoutError
from zmqio.ids import Sid
from zmqio.protocol.packet import AckableFrames, Frames
from zmqio.protocol.topic import check_name

__all__ = ["LocalAdapter", "LocalAdapterFactory"]

SLICE_DISCONNECTS = 100
"""Sockets disconnected in one turn of the loop: about 5 ms (the target is 10 ms)."""
SLICE_DESCRIPTIONS = 300
"""Sockets of this process described in one turn of the loop: about 3 ms, for nothing is packed."""


class LocalAdapter(Adapter):
    """Rooms of one namespace in this process.

    Args:
        namespace: its name, begins with `/`.
        sockets: the sockets themselves.
    """

    def __init__(self, namespace: str, sockets: LocalSockets) -> None:
        self.namespace = namespace
        self._sockets = sockets
        self._index = RoomIndex()
        self._operations = RoomOperationQueue()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.namespace} sockets={len(self._index)}>"

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    # Rooms.

    def add(self, sid: Sid, rooms: Collection[str]) -> Awaitable[None]:
        """Put a socket in rooms: at once."""
        self._operations.flush_for(sid)
        self._join_rooms(sid, rooms)
        return DONE

    def remove(self, sid: Sid, room: str) -> None:
        """Take a socket out of a room."""
        self._operations.flush_for(sid)
        self._leave_rooms(sid, (room,))

    def remove_all(self, sid: Sid) -> None:
        """Take a socket that disconnects out of all its rooms."""
        self._operations.discard(sid)
        self._leave_rooms(sid, None)

    def rooms_of(self, sid: Sid) -> Collection[str]:
        """The rooms of a socket. A live view: not to be kept across an `await`."""
        return self._index.rooms_of(sid)

    def sids(self, target: Target) -> Collection[Sid]:
        """The sockets here that `target` reaches. Perhaps the live set: not to be kept across an `await`."""
        return self._index.select(target.rooms, target.except_)

    # Operations.

    def deliver(self, frames: Frames, target: Target) -> None:
        """Write one encoded packet to the sockets here that `target` reaches; override it to see all of them."""
        sids = self.sids(target)
        if sids:
            # A copy: a client that is closed for being slow leaves its rooms while this goes on.
            self._sockets.deliver(tuple(sids), frames, volatile=target.volatile)

    async def broadcast(self, frames: Frames, target: Target) -> None:
        """Send one encoded packet to all sockets that `target` reaches."""
        await self._run_in_order(partial(self.deliver, frames, target))

    async def broadcast_with_ack(self, frames: AckableFrames, target: Target, timeout_s: float) -> list[list[Any]]:
        """Send one packet and gather what the clients answer."""
        await self._run_in_order()
        sids = tuple(self.sids(target))
        answers: list[list[Any]] = []
        if not sids:
            return answers
        complete = asyncio.get_running_loop().create_future()

        def answered(args: list[Any]) -> None:
            answers.append(args)
            if len(answers) == len(sids) and not complete.done():
                complete.set_result(None)

        self._sockets.deliver_with_ack(sids, frames, answered, timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                await complete
        except TimeoutError:
            raise RequestTimeoutError(
                f"{len(answers)} of {len(sids)} clients answered within {timeout_s:g} s",
                responses=answers,
                expected=len(sids),
            ) from None
        return answers

    async def fetch_sockets(self, target: Target, timeout_s: float) -> list[SocketDescription]:
        """Describe the sockets that `target` reaches."""
        return await self._describe_local(target)

    async def add_sockets(self, target: Target, rooms: Collection[str]) -> None:
        """Put the sockets that `target` reaches in rooms."""
        _check_rooms(rooms)
        await self._operations.run(self._join_operation(target, rooms))

    async def remove_sockets(self, target: Target, rooms: Collection[str]) -> None:
        """Take the sockets that `target` reaches out of rooms."""
        await self._operations.run(self._leave_operation(target, rooms))

    async def disconnect_sockets(self, target: Target, *, close: bool) -> None:
        """Disconnect the sockets that `target` reaches; with `close` their whole connections."""
        await self._operations.run(self._disconnect_operation(target, close=close))

    async def server_side_emit(self, args: Sequence[Any]) -> None:
        """There are no other nodes."""

    async def server_side_emit_with_ack(self, args: Sequence[Any], timeout_s: float) -> list[list[Any]]:
        """There are no other nodes that could answer."""
        return []

    async def rooms(self, timeout_s: float) -> set[str]:
        """All rooms of the namespace that have a member."""
        await self._run_in_order()
        return set(self._index.rooms())

    def server_count(self) -> int:
        """This node."""
        return 1

    # For subclasses.

    async def _run_in_order(self, work: Callable[[], None] | None = None) -> None:
        """Do `work` behind the room operations that are under way; returns when it is done."""
        if self._operations.busy:
            await self._operations.run(RoomOperation() if work is None else RoomOperation(then=work))
        elif work is not None:
            work()

    def _join_operation(self, target: Target, rooms: Collection[str]) -> RoomOperation:
        return RoomOperation(partial(self.sids, target), partial(self._add_all, rooms))

    def _leave_operation(self, target: Target, rooms: Collection[str]) -> RoomOperation:
        return RoomOperation(partial(self.sids, target), partial(self._remove_all_from, rooms))

    def _disconnect_operation(self, target: Target, *, close: bool) -> RoomOperation:
        act = partial(self._sockets.disconnect, close=close)
        return RoomOperation(partial(self.sids, target), act, slice_sockets=SLICE_DISCONNECTS)

    async def _describe_local(self, target: Target) -> list[SocketDescription]:
        """Describe the sockets here, in slices; those that go meanwhile are left out."""
        await self._run_in_order()
        sids = tuple(self.sids(target))
        found = self._sockets.describe(sids[:SLICE_DESCRIPTIONS])
        for start in range(SLICE_DESCRIPTIONS, len(sids), SLICE_DESCRIPTIONS):
            await asyncio.sleep(0)
            found += self._sockets.describe(sids[start : start + SLICE_DESCRIPTIONS])
        return found

    def _add_all(self, rooms: Collection[str], sids: Sequence[Sid]) -> None:
        for sid in sids:
            self.add(sid, rooms)

    def _remove_all_from(self, rooms: Collection[str], sids: Sequence[Sid]) -> None:
        for sid in sids:
            self._leave_rooms(sid, rooms)

    def _join_rooms(self, sid: Sid, rooms: Collection[str]) -> list[str]:
        """Put a socket in rooms here; gives those that had no member here."""
        _check_rooms(rooms, sid)
        change = self._index.add(sid, rooms)
        created = set(change.edges)
        for room in change.rooms:
            if room in created:
                self._sockets.room_event("create-room", room, None)
            self._sockets.room_event("join-room", room, sid)
        return change.edges

    def _leave_rooms(self, sid: Sid, rooms: Collection[str] | None) -> list[str]:
        """Take a socket out of rooms here (None: of all, for good); gives those that have no member here now."""
        change = self._index.remove_all(sid) if rooms is None else self._index.remove(sid, rooms)
        deleted = set(change.edges)
        for room in change.rooms:
            self._sockets.room_event("leave-room", room, sid)
            if room in deleted:
                self._sockets.room_event("delete-room", room, None)
        return change.edges


class LocalAdapterFactory:
    """Makes adapters that know this process only.

    Args:
        adapter_class: a subclass of `LocalAdapter`, or any function `(namespace, sockets)` that makes an adapter.
    """

    HEALTH: ClassVar = Health(ready=True)

    def __init__(self, adapter_class: Callable[[str, LocalSockets], Adapter] = LocalAdapter) -> None:
        self._adapter_class = adapter_class

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self._adapter_class, '__name__', self._adapter_class)})"

    def __call__(self, namespace: str, sockets: LocalSockets) -> Adapter:
        """Make the adapter of one namespace."""
        return self._adapter_class(namespace, sockets)

    async def start(self, identity: Identity, events: NodeEvents) -> None:
        """Nothing is shared, so nothing starts."""

    async def wait_for_tag_check(self, limit_s: float) -> TagClash | None:
        """Nobody else could hold the tag."""

    async def close(self) -> None:
        """Nothing is shared, so nothing stops."""

    def close_sync(self) -> None:
        """Nothing is shared, so nobody waits for a goodbye."""

    def health(self) -> Health:
        """There are no other nodes that it could miss."""
        return self.HEALTH


def _check_rooms(rooms: Collection[str], sid: str | None = None) -> None:
    for room in rooms:
        if room != sid:
            check_name(room)
