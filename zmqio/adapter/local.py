"""The adapter of a single process: its rooms, and delivery to its sockets. Other adapters extend it.

Every packet passes `deliver`, whether it was emitted in this process or on another node. This module cannot
publish.
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
from zmqio.recovery.recorder import PacketRecorder

__all__ = ["LocalAdapter", "LocalAdapterFactory"]

SLICE_DISCONNECTS = 100
"""Sockets disconnected per iteration of the event loop: about 5 ms (the target is 10 ms)."""
SLICE_DESCRIPTIONS = 300
"""Sockets of this process described per iteration of the event loop: about 3 ms, because nothing is packed."""


class LocalAdapter(Adapter):
    """The rooms of one namespace in this process.

    Args:
        namespace: its name, which begins with `/`.
        sockets: the sockets of the namespace.
    """

    def __init__(self, namespace: str, sockets: LocalSockets) -> None:
        self.namespace = namespace
        self._sockets = sockets
        self._index = RoomIndex()
        self._operations = RoomOperationQueue()
        self._recorder: PacketRecorder | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.namespace} sockets={len(self._index)}>"

    async def open(self) -> None:
        """Do nothing; there is nothing to open."""

    async def close(self) -> None:
        """Do nothing; there is nothing to close."""

    def record_packets(self, recorder: PacketRecorder) -> None:
        """Record every packet that can be recovered. See `Adapter.record_packets`."""
        self._recorder = recorder

    # Rooms.

    def add(self, sid: Sid, rooms: Collection[str]) -> Awaitable[None]:
        """Add a socket to rooms at once, unless the operation in progress disconnects it."""
        if not self._is_disconnected_first(sid):
            self._join_rooms(sid, rooms)
        return DONE

    def remove(self, sid: Sid, room: str) -> None:
        """Remove a socket from a room."""
        self._operations.flush_for(sid)
        self._leave_rooms(sid, (room,))

    def remove_all(self, sid: Sid) -> None:
        """Remove a disconnecting socket from all its rooms."""
        self._operations.discard(sid)
        self._leave_rooms(sid, None)

    def rooms_of(self, sid: Sid) -> Collection[str]:
        """Return the rooms of a socket. A live view: do not keep it across an `await`."""
        return self._index.rooms_of(sid)

    def sids(self, target: Target) -> Collection[Sid]:
        """Return the local sockets that `target` reaches: perhaps a live set, not to be kept across an `await`."""
        return self._index.select(target.rooms, target.except_)

    # Operations.

    def deliver(self, frames: Frames, target: Target) -> None:
        """Write one encoded packet to the local sockets that `target` reaches. Override it to see every packet."""
        sids = self.sids(target)
        if sids:
            # A copy, because a client that is closed as too slow leaves its rooms during the iteration.
            self._sockets.deliver(tuple(sids), frames, volatile=target.volatile)

    async def broadcast(self, frames: Frames, target: Target) -> None:
        """Send one encoded packet to all sockets that `target` reaches."""
        await self._run_in_order(partial(self._record_and_deliver, frames, target))

    async def broadcast_with_ack(self, frames: AckableFrames, target: Target, timeout_s: float) -> list[list[Any]]:
        """Send one packet and collect the acknowledgements."""
        await self._run_in_order()
        sids = tuple(self.sids(target))
        if not sids:
            return []
        acks = _LocalAcks(len(sids))
        self._sockets.deliver_with_ack(sids, frames, acks.add, acks.expect, timeout_s)
        return await acks.wait(timeout_s)

    async def fetch_sockets(self, target: Target, timeout_s: float) -> list[SocketDescription]:
        """Describe the sockets that `target` reaches."""
        return await self._describe_local(target)

    async def add_sockets(self, target: Target, rooms: Collection[str]) -> None:
        """Add the sockets that `target` reaches to rooms."""
        _check_rooms(rooms)
        await self._operations.run(self._join_operation(target, rooms))

    async def remove_sockets(self, target: Target, rooms: Collection[str]) -> None:
        """Remove the sockets that `target` reaches from rooms."""
        await self._operations.run(self._leave_operation(target, rooms))

    async def disconnect_sockets(self, target: Target, *, close: bool) -> None:
        """Disconnect the sockets that `target` reaches; with `close`, close their connections as well."""
        await self._operations.run(self._disconnect_operation(target, close=close))

    async def server_side_emit(self, args: Sequence[Any]) -> None:
        """Do nothing; there are no other nodes."""

    async def server_side_emit_with_ack(self, args: Sequence[Any], timeout_s: float) -> list[list[Any]]:
        """Return an empty list; there are no other nodes."""
        return []

    async def rooms(self, timeout_s: float) -> set[str]:
        """Return all rooms of the namespace that have a member."""
        await self._run_in_order()
        return set(self._index.rooms())

    def room_count(self) -> int:
        """Return the number of rooms that have a member in this process."""
        return len(self._index.rooms())

    def server_count(self) -> int:
        """Return 1: this node."""
        return 1

    # For subclasses.

    def _record_and_deliver(self, frames: Frames, target: Target) -> None:
        """Deliver a packet of this process, which clients that miss it can recover."""
        if self._recorder is not None and not target.volatile:
            self._recorder.sent(frames, target.rooms, target.except_)
        self.deliver(frames, target)

    def _is_disconnected_first(self, sid: Sid) -> bool:
        """Apply the operation in progress to a socket now; return whether that has disconnected the socket."""
        return self._operations.flush_for(sid) and not self._index.has_socket(sid)

    async def _run_in_order(self, work: Callable[[], None] | None = None) -> None:
        """Run `work` after the pending room operations; return once it has run."""
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
        """Describe the local sockets in slices, without those that disconnect in the meantime."""
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
        """Add a socket to rooms of this process; return the rooms that had no member."""
        _check_rooms(rooms, sid)
        change = self._index.add(sid, rooms)
        created = set(change.edges)
        for room in change.rooms:
            if room in created:
                self._sockets.room_event("create-room", room, None)
            self._sockets.room_event("join-room", room, sid)
        return change.edges

    def _leave_rooms(self, sid: Sid, rooms: Collection[str] | None) -> list[str]:
        """Remove a socket from rooms of this process; return the rooms that now have no member.

        With `rooms` None, remove it from all rooms and from the namespace.
        """
        change = self._index.remove_all(sid) if rooms is None else self._index.remove(sid, rooms)
        deleted = set(change.edges)
        for room in change.rooms:
            self._sockets.room_event("leave-room", room, sid)
            if room in deleted:
                self._sockets.room_event("delete-room", room, None)
        return change.edges


class LocalAdapterFactory:
    """Makes adapters for a single process.

    Args:
        adapter_class: a subclass of `LocalAdapter`, or any function `(namespace, sockets)` that returns an
            adapter.
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
        """Do nothing; the adapters share no state."""

    async def wait_for_tag_check(self, limit_s: float) -> TagClash | None:
        """Return None: without other nodes no tag can clash."""

    async def close(self) -> None:
        """Do nothing; the adapters share no state."""

    def close_sync(self) -> None:
        """Do nothing; there are no other nodes to say goodbye to."""

    def health(self) -> Health:
        """Return ready: there are no other nodes to be disconnected from."""
        return self.HEALTH


class _LocalAcks:
    """The acknowledgements of one broadcast in this process, and how many are expected."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._received: list[list[Any]] = []
        self._complete = asyncio.get_running_loop().create_future()

    def add(self, args: list[Any]) -> None:
        self._received.append(args)
        self.expect(self._expected)

    def expect(self, count: int) -> None:
        self._expected = count
        if len(self._received) >= count and not self._complete.done():
            self._complete.set_result(None)

    async def wait(self, timeout_s: float) -> list[list[Any]]:
        try:
            async with asyncio.timeout(timeout_s):
                await self._complete
        except TimeoutError:
            raise RequestTimeoutError(
                f"received {len(self._received)} of {self._expected} acknowledgements within {timeout_s:g} s",
                responses=self._received,
                expected=self._expected,
            ) from None
        return self._received


def _check_rooms(rooms: Collection[str], sid: str | None = None) -> None:
    for room in rooms:
        if room != sid:
            check_name(room)
