"""The adapter of a namespace on many nodes: a `LocalAdapter` here, and topics and requests for the other nodes.

A packet emitted here is delivered here first, then published once, to one topic. Messages of other nodes reach the
local sockets only: no method that receives a message can publish it.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache, partial
from typing import Any

from zmqio.adapter.base import DONE, LocalSockets, SocketDescription, Target
from zmqio.adapter.local import LocalAdapter
from zmqio.adapter.room_queue import RoomOperation
from zmqio.cluster.captures import Capture
from zmqio.cluster.join_barriers import JoinBarriers
from zmqio.cluster.leaving_rooms import LeavingRooms
from zmqio.cluster.namespace_requests import NamespaceRequests
from zmqio.cluster.node import Node
from zmqio.cluster.recent_joins import RecentJoins
from zmqio.cluster.responder import Responder, to_description
from zmqio.cluster.retained_rooms import RetainedRooms
from zmqio.cluster.routing import TopicRouter
from zmqio.exceptions import BusError, PacketError
from zmqio.ids import NodeId, Sid
from zmqio.protocol import messages as m
from zmqio.protocol.messages import Message
from zmqio.protocol.packet import AckableFrames, Frames
from zmqio.protocol.publish import Operation, PublishRequest, origin_of
from zmqio.protocol.topic import MAX_CACHED_CHARACTERS, check_name
from zmqio.protocol.values import pack_values
from zmqio.recovery.recorder import PacketRecorder

__all__ = ["ClusterAdapter"]


class ClusterAdapter(LocalAdapter):
    """Rooms of one namespace on every node.

    Args:
        namespace: its name, begins with `/`.
        sockets: the sockets of this process.
        node: returns this process's node; called by `open`, when the factory has started.
    """

    def __init__(self, namespace: str, sockets: LocalSockets, node: Callable[[], Node]) -> None:
        super().__init__(namespace, sockets)
        self._get_node = node
        self._node: Node
        self._router: TopicRouter
        self._responder: Responder
        self._requests: NamespaceRequests
        self._barriers = JoinBarriers()
        self._leaving = LeavingRooms(self._unsubscribe_now)
        self._recent_joins: RecentJoins[str] = RecentJoins()
        self._retained = RetainedRooms()
        self._captures: set[Capture] = set()

    async def open(self) -> None:
        """Subscribe to the namespace's topic, and wait until the brokers have applied it."""
        self._node = self._get_node()
        self._router = TopicRouter(self._node.options.prefix, self.namespace, self._node.identity.tag)
        self._responder = Responder(self._node, self._sockets)
        self._requests = NamespaceRequests(self._node, self.namespace)
        self._node.inbound.attach(self.namespace, self)
        await self._node.subscribe((self._router.namespace_topic,))

    async def close(self) -> None:
        """Cancel all subscriptions of the namespace."""
        self._node.inbound.detach(self.namespace)
        rooms = {*self._index.rooms(), *self._retained}
        self._retained = RetainedRooms()
        self._unsubscribe(rooms)
        self._leaving.flush()
        self._node.unsubscribe((self._router.namespace_topic,))

    # Rooms.

    def add(self, sid: Sid, rooms: Collection[str]) -> Awaitable[None]:
        """Put a socket in rooms.

        Returns:
            An awaitable that completes when this node receives messages for these rooms. If the node already
            receives them, the awaitable is complete at once, at no cost.
        """
        if self._is_disconnected_first(sid):
            return DONE
        self._subscribe([room for room in self._join_rooms(sid, rooms) if room not in self._retained])
        return self._barriers.wait_for(rooms)

    def remove(self, sid: Sid, room: str) -> None:
        """Take a socket out of a room. If it was the last local member, this node unsubscribes from the room."""
        self._operations.flush_for(sid)
        self._unsubscribe(self._leave_rooms(sid, (room,)))

    def remove_all(self, sid: Sid) -> None:
        """Take a socket that disconnects out of all its rooms."""
        self._operations.discard(sid)
        self._unsubscribe(self._leave_rooms(sid, None))

    # Recovery of sessions.

    def retain(self, rooms: Collection[str]) -> None:
        """Subscribe to rooms of a client that is not connected here; undone by `release`."""
        self._subscribe([room for room in self._retained.add(rooms) if room not in self._index])

    def subscribed(self, rooms: Collection[str]) -> Awaitable[None]:
        """An awaitable that completes when this node receives messages for rooms that it subscribes to."""
        return self._barriers.wait_for(rooms)

    def release(self, rooms: Collection[str]) -> None:
        """Undo `retain`."""
        self._unsubscribe([room for room in self._retained.remove(rooms) if room not in self._index])

    def capture(self, rooms: Collection[str]) -> Capture:
        """Keep the packets of other nodes that are delivered here for these rooms, until `end_capture`."""
        capture = Capture(frozenset(rooms))
        self._captures.add(capture)
        return capture

    def end_capture(self, capture: Capture) -> None:
        """Keep no more packets."""
        self._captures.discard(capture)

    async def in_order(self) -> None:
        """Return when all packets that have arrived are delivered."""
        await self._run_in_order()

    # Operations.

    async def broadcast(self, frames: Frames, target: Target) -> None:
        """Send one encoded packet to all sockets of `target`: first to those here, then in one publish."""
        topic = self._topic_of(target)
        if self._node.tracing is None:
            message = m.BroadcastMessage(*self._address(target), target.volatile, frames)
        else:
            message = self._traced_broadcast(frames, target, self._node.tracing.traceparent())
        if self._operations.busy:
            await self._run_in_order(partial(self._broadcast, topic, message, target))
        else:
            self._broadcast(topic, message, target)

    async def broadcast_with_ack(self, frames: AckableFrames, target: Target, timeout_s: float) -> list[list[Any]]:
        """Send one packet and collect the acknowledgements of the clients of every node.

        Raises:
            RequestTimeoutError: not all clients answered in time, or a node died. The error holds the answers
                received, and how many were expected as far as the nodes have reported.
            BusError: the packet did not reach other nodes; the clients of this process received it.
        """
        await self._run_in_order()
        topic, nodes = self._request_route(target)
        if target.stays_here or self._is_session_here(target):
            return await super().broadcast_with_ack(frames, target, timeout_s)
        responses, own_id, sids = self._node.responses, self._node.identity.node_id, tuple(self.sids(target))
        with responses.open((own_id, *nodes)) as request:
            self._sockets.deliver_with_ack(
                sids,
                frames,
                partial(responses.add_response, request.id, own_id),
                partial(responses.set_expected, request.id, own_id),
                timeout_s,
            )
            message = m.AckedBroadcast(request.id, *self._address(target), timeout_s, frames)
            self._node.outbox.publish(topic, message, may_wait=False)
            return await request.result(timeout_s)

    async def fetch_sockets(self, target: Target, timeout_s: float) -> list[SocketDescription]:
        """Describe the sockets of `target`. If it is a single session id, only its owner is asked.

        Raises:
            RequestTimeoutError: a node did not respond. The error holds the descriptions received and names the
                node.
            BusError: the other nodes could not be asked.
        """
        here = await self._describe_local(target)
        topic, nodes = self._request_route(target)
        address = self._address(target)
        return await self._requests.request(
            topic, nodes, lambda n: m.FetchSockets(n, *address), timeout_s, here=here, read=to_description
        )

    async def add_sockets(self, target: Target, rooms: Collection[str]) -> None:
        """Put the sockets of `target` in rooms. Returns when this node receives messages for these rooms."""
        topic = self._checked_topic(target, rooms)
        if not target.stays_here:
            self._recent_joins.add(rooms)
        message = m.JoinRooms(*self._address(target), tuple(rooms))
        await self._run_and_publish(self._join_operation(target, rooms), topic, target, message)
        await self._barriers.wait_for(rooms)

    async def remove_sockets(self, target: Target, rooms: Collection[str]) -> None:
        """Take the sockets of `target` out of rooms."""
        topic = self._checked_topic(target, rooms)
        message = m.LeaveRooms(*self._address(target), tuple(rooms))
        await self._run_and_publish(self._leave_operation(target, rooms), topic, target, message)

    async def disconnect_sockets(self, target: Target, *, close: bool) -> None:
        """Disconnect the sockets of `target`; with `close`, close their connections too."""
        topic = self._checked_topic(target, ())
        message = m.DisconnectSockets(*self._address(target), close)
        await self._run_and_publish(self._disconnect_operation(target, close=close), topic, target, message)

    async def server_side_emit(self, args: Sequence[Any]) -> None:
        """Send an event to the application on all other nodes that serve the namespace."""
        message = self._server_side_message(pack_values(list(args)), None)
        self._node.outbox.publish(self._router.namespace_topic, message)

    async def server_side_emit_with_ack(self, args: Sequence[Any], timeout_s: float) -> list[list[Any]]:
        """Send an event to the application on all other nodes, and collect one answer of each that serves it.

        Raises:
            RequestTimeoutError: a node did not respond. The error holds the answers received and names the node.
            BusError: the other nodes could not be asked.
        """
        packed = pack_values(list(args))
        return await self._requests.request(
            self._node.all_topic,
            tuple(self._node.peers),
            lambda n: self._server_side_message(packed, n),
            timeout_s,
            here=[],
            read=_identity,
        )

    async def rooms(self, timeout_s: float) -> set[str]:
        """All rooms of the namespace that have a member on any node; session ids are among them.

        Raises:
            RequestTimeoutError: a node did not respond. The error holds the names received and names the node.
            BusError: the other nodes could not be asked.
        """
        await self._run_in_order()
        names = await self._requests.request(
            self._node.all_topic,
            tuple(self._node.peers),
            lambda n: m.FetchRooms(n, self.namespace),
            timeout_s,
            here=list(self._index.rooms()),
            read=_identity,
        )
        return set(names)

    def server_count(self) -> int:
        """The number of live nodes, including this one."""
        return len(self._node.peers) + 1

    # `NamespaceReceiver`. Below this line, only the responses of `Responder` are published.

    def receive(self, message: Message, sender: NodeId, number: int) -> None:
        """Apply a message of another node, behind the room operations that are under way."""
        if self._operations.busy:
            self._operations.submit(
                self._room_operation(message)
                or RoomOperation(then=partial(self._receive_now, message, sender, number))
            )
        else:
            self._receive_now(message, sender, number)

    def _receive_now(self, message: Message, sender: NodeId, number: int, *, in_span: bool = False) -> None:
        if self._node.tracing is not None and not in_span:
            with self._span_of(message):
                self._receive_now(message, sender, number, in_span=True)
            return
        match message:
            case m.BroadcastMessage():
                if self._recorder is not None:
                    self._record_received(self._recorder, message, sender, number)
                target = _to_target(message.rooms, message.except_, volatile=message.volatile)
                self.deliver(message.frames, target)
            case m.AckedBroadcast():
                self._responder.send_acks(sender, message, tuple(self.sids(_target_of(message))))
            case m.FetchSockets():
                self._responder.send_descriptions(sender, message, tuple(self.sids(_target_of(message))))
            case m.FetchRooms():
                self._responder.send_rooms(sender, message, self._index.rooms())
            case m.ServerSideEmit():
                self._responder.server_side_emit(sender, message)
            case _ if (operation := self._room_operation(message)) is not None:
                self._operations.submit(operation)

    def _room_operation(self, message: Message) -> RoomOperation | None:
        match message:
            case m.JoinRooms():
                return self._join_operation(_target_of(message), message.names)
            case m.LeaveRooms():
                return self._leave_operation(_target_of(message), message.names)
            case m.DisconnectSockets():
                return self._disconnect_operation(_target_of(message), close=message.close)
        return None

    def apply(self, request: PublishRequest) -> None:
        """Apply a request of an outside service to the sockets here."""
        target = _to_target(request.rooms or (), request.except_, volatile=request.volatile)
        match request.op:
            case Operation.EMIT if not self._operations.busy:
                self._emit_locally(request, target)
            case Operation.EMIT:
                self._operations.submit(RoomOperation(then=partial(self._emit_locally, request, target)))
            case Operation.JOIN:
                self._operations.submit(self._join_operation(target, request.names))
            case Operation.LEAVE:
                self._operations.submit(self._leave_operation(target, request.names))
            case Operation.DISCONNECT:
                self._operations.submit(self._disconnect_operation(target, close=request.close))

    def _record_received(
        self, recorder: PacketRecorder, message: m.BroadcastMessage, sender: NodeId, number: int
    ) -> None:
        recorder.received(sender, number)
        for capture in self._captures:
            capture.add(message, sender, number, recorder.now())

    def _emit_locally(self, request: PublishRequest, target: Target) -> None:
        if request.event is None or not (self._recorder or self.sids(target)):
            return
        try:
            frames = self._sockets.encode(request.event, request.args)
        except PacketError as error:
            self._node.diagnostics.report("publish_request_rejected", namespace=self.namespace, reason=str(error))
        else:
            if self._recorder is not None and not target.volatile:
                self._recorder.sent(frames, target.rooms, target.except_, origin_of(request))
            if self._node.tracing is None or request.traceparent is None:
                self.deliver(frames, target)
                return
            with self._node.tracing.delivering(self.namespace, request.traceparent, request.event):
                self.deliver(frames, target)

    def _remove_all_from(self, rooms: Collection[str], sids: Sequence[Sid]) -> None:
        for sid in sids:
            self._unsubscribe(self._leave_rooms(sid, rooms))

    # Publishing.

    def _broadcast(self, topic: bytes, message: m.BroadcastMessage, target: Target) -> None:
        if self._recorder is None or target.volatile:
            self.deliver(message.frames, target)
            self._publish(topic, target, message)
        else:
            packet = self._recorder.sent(message.frames, target.rooms, target.except_)
            self.deliver(message.frames, target)
            packet.bus_number = self._publish(topic, target, message)

    def _traced_broadcast(self, frames: Frames, target: Target, traceparent: str) -> m.BroadcastMessage:
        if traceparent:
            return m.TracedBroadcast(*self._address(target), target.volatile, frames, traceparent)
        return m.BroadcastMessage(*self._address(target), target.volatile, frames)

    def _span_of(self, message: Message) -> AbstractContextManager[object]:
        if self._node.tracing is None or not isinstance(message, m.TracedBroadcast | m.TracedServerSideEmit):
            return nullcontext()
        return self._node.tracing.delivering(self.namespace, message.traceparent, "")

    def _server_side_message(self, args: bytes, request_id: int | None) -> m.ServerSideEmit:
        tracing = self._node.tracing
        if tracing is None or not (traceparent := tracing.traceparent()):
            return m.ServerSideEmit(self.namespace, args, request_id)
        return m.TracedServerSideEmit(self.namespace, args, request_id, traceparent)

    async def _run_and_publish(
        self, operation: RoomOperation, topic: bytes, target: Target, message: Message
    ) -> None:
        """Run an operation here, and publish it in the same turn, so that the order is the same on every node."""
        operation.then = partial(self._publish, topic, target, message)
        await self._operations.run(operation)

    def _publish(self, topic: bytes, target: Target, message: Message) -> int | None:
        """Publish a message unless it stays here; return its number."""
        if target.stays_here:
            return None
        try:
            return self._node.outbox.publish(topic, message)
        except BusError:
            # A socket of this node was reached. Only a *room* of the same name on another node was missed.
            if not self._is_session_here(target):
                raise
            return None

    # Topics.

    def _request_route(self, target: Target) -> tuple[bytes, tuple[NodeId, ...]]:
        """The topic of a request and the nodes that have to respond."""
        topic = self._router.topic_of(target)
        if target.stays_here or self._is_session_here(target):
            return topic, ()
        # A session that was recovered may be on another node than the one that made its id.
        owner = None if self._recorder is not None else self._router.owner_among(self._node.peers, target)
        if owner is not None:
            return topic, (owner,)
        return self._node.all_topic, tuple(self._node.peers)

    def _checked_topic(self, target: Target, rooms: Collection[str]) -> bytes:
        for room in rooms:
            check_name(room)
        return self._topic_of(target)

    def _topic_of(self, target: Target) -> bytes:
        """The one topic that reaches every node that has sockets of `target`, or is about to have them."""
        topic = self._router.topic_of(target)
        return self._router.namespace_topic if self._recent_joins.includes_any(target.rooms or ()) else topic

    def _address(self, target: Target) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """The fields by which messages address sockets: namespace, rooms, except."""
        return self.namespace, tuple(target.rooms or ()), tuple(target.except_)

    def _is_session_here(self, target: Target) -> bool:
        """Whether the target is a single session id whose socket is here, or nowhere."""
        if not self._router.is_own_session(target):
            return False
        return self._recorder is None or bool(self.sids(target))

    def _subscribe(self, rooms: Collection[str]) -> None:
        topics = self._router.topics_by_room(self._leaving.take_back(rooms))
        if topics:
            self._barriers.add(topics, self._node.subscribe(topics.values()))

    def _unsubscribe(self, rooms: Iterable[str]) -> None:
        """Unsubscribe from rooms, unless they are retained; from many in slices."""
        self._leaving.add(room for room in rooms if room not in self._retained)

    def _unsubscribe_now(self, rooms: Iterable[str]) -> None:
        topics = self._router.topics_by_room(rooms)
        if topics:
            self._barriers.discard(topics)
            self._node.unsubscribe(topics.values())


def _target_of(message: Any) -> Target:
    return _to_target(message.rooms, message.except_, volatile=False)


def _to_target(rooms: tuple[str, ...], except_: tuple[str, ...], *, volatile: bool) -> Target:
    size = sum(map(len, rooms)) + sum(map(len, except_))
    make = _cached_target if size <= MAX_CACHED_CHARACTERS else _cached_target.__wrapped__
    return make(rooms, except_, volatile)


@lru_cache(maxsize=4_096)
def _cached_target(rooms: tuple[str, ...], except_: tuple[str, ...], volatile: bool) -> Target:
    # Cached, because making this value would cost as much as the rest of a delivery to one socket.
    # On the bus, no rooms mean every socket: an empty selection is never published.
    return Target(frozenset(rooms) or None, frozenset(except_), volatile=volatile)


def _identity(answer: Any) -> Any:
    return answer
