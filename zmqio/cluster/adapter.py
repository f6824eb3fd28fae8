"""The adapter of a namespace on many nodes: `LocalAdapter` here, topics and questions for the others.

What is emitted here is delivered here first and then published once, to one topic. What comes from other nodes
reaches the local half only: no method that receives can publish what it received.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

from zmqio.adapter.base import LocalSockets, SocketDescription, Target
from zmqio.adapter.local import LocalAdapter
from zmqio.adapter.room_queue import RoomOperation
from zmqio.cluster.join_barriers import JoinBarriers
from zmqio.cluster.node import Node
from zmqio.cluster.recent_joins import RecentJoins
from zmqio.cluster.responder import Responder, to_description
from zmqio.cluster.routing import TopicRouter
from zmqio.exceptions import BusError, PacketError, RequestTimeoutError
from zmqio.ids import NodeId, Sid
from zmqio.protocol import messages as m
from zmqio.protocol.messages import Message
from zmqio.protocol.packet import AckableFrames, Frames
from zmqio.protocol.publish import Operation, PublishRequest
from zmqio.protocol.topic import check_name
from zmqio.protocol.values import pack_values, unpack_values

__all__ = ["ClusterAdapter"]

SLICE_ANSWERS = 300
"""Answers unpacked in one turn of the loop: about 3 ms for descriptions of sockets with the usual handshake."""

_Answer = TypeVar("_Answer")


class ClusterAdapter(LocalAdapter):
    """Rooms of one namespace on every node.

    Args:
        namespace: its name, begins with `/`.
        sockets: the sockets of this process.
        node: gives the presence of this process on the bus; it is there from when the factory has started.
    """

    def __init__(self, namespace: str, sockets: LocalSockets, node: Callable[[], Node]) -> None:
        super().__init__(namespace, sockets)
        self._get_node = node
        self._node: Node
        self._routes: TopicRouter
        self._replies: Responder
        self._barriers = JoinBarriers()
        self._recent_joins = RecentJoins()

    async def open(self) -> None:
        """Hear what concerns the namespace."""
        self._node = self._get_node()
        self._routes = TopicRouter(self._node.options.prefix, self.namespace, self._node.identity.tag)
        self._replies = Responder(self._node, self._sockets)
        self._node.attach(self.namespace, self)
        await self._node.subscribe((self._routes.everyone,))

    async def close(self) -> None:
        """Hear nothing of it any more."""
        self._node.detach(self.namespace)
        self._unsubscribe(self._index.rooms())
        self._node.unsubscribe((self._routes.everyone,))

    # Rooms.

    def add(self, sid: Sid, rooms: Collection[str]) -> Awaitable[None]:
        """Put a socket in rooms. Done when this node hears of them; where it does already: at once, for free."""
        self._operations.flush_for(sid)
        wanted = self._routes.to_subscribe(self._join_rooms(sid, rooms))
        if wanted:
            self._barriers.begin(wanted, self._node.subscribe(wanted.values()))
        return self._barriers.of(rooms)

    def remove(self, sid: Sid, room: str) -> None:
        """Take a socket out of a room; the last out ends this node's subscription."""
        self._operations.flush_for(sid)
        self._unsubscribe(self._leave_rooms(sid, (room,)))

    def remove_all(self, sid: Sid) -> None:
        """Take a socket that disconnects out of all its rooms."""
        self._operations.discard(sid)
        self._unsubscribe(self._leave_rooms(sid, None))

    # Operations.

    async def broadcast(self, frames: Frames, target: Target) -> None:
        """Send one encoded packet to all sockets that `target` reaches: here first, then in one publish."""
        topic = self._topic(target)
        if self._operations.busy:
            await self._run_in_order(partial(self._broadcast, topic, frames, target))
        else:
            self._broadcast(topic, frames, target)

    async def broadcast_with_ack(self, frames: AckableFrames, target: Target, timeout_s: float) -> list[list[Any]]:
        """Send one packet and gather what the clients of every node answer.

        Raises:
            RequestTimeoutError: not all answered in time, or a node died; it keeps the answers that came, and how
                many were expected as far as the nodes had said.
            BusError: the other nodes did not get it; clients of this process did.
        """
        await self._run_in_order()
        topic, nodes = self._whom_to_ask(target)
        if target.local or self._routes.own_session(target):
            return await super().broadcast_with_ack(frames, target, timeout_s)
        responses, me, sids = self._node.responses, self._node.identity.node_id, tuple(self.sids(target))
        with responses.open((me, *nodes)) as request:
            responses.set_expected(request.id, me, len(sids))
            if sids:
                self._sockets.deliver_with_ack(
                    sids, frames, lambda args: responses.add_response(request.id, me, args), timeout_s
                )
            self._node.ask(topic, m.AckedBroadcast(request.id, *self._whom(target), timeout_s, frames))
            return await request.result(timeout_s)

    async def fetch_sockets(self, target: Target, timeout_s: float) -> list[SocketDescription]:
        """Describe the sockets that `target` reaches. The owner of a session id, if it lives, is asked alone.

        Raises:
            RequestTimeoutError: a node did not answer; it keeps the descriptions that came and names the node.
            BusError: the other nodes could not be asked.
        """
        here = await self._describe_local(target)
        topic, nodes = self._whom_to_ask(target)
        whom = self._whom(target)
        return await self._ask(
            topic, nodes, lambda n: m.FetchSockets(n, *whom), timeout_s, here=here, read=to_description
        )

    async def add_sockets(self, target: Target, rooms: Collection[str]) -> None:
        """Put the sockets that `target` reaches in rooms. Returns when this node hears of them."""
        topic = self._checked(target, rooms)
        if not target.local:
            self._recent_joins.told(rooms)
        message = m.JoinRooms(*self._whom(target), tuple(rooms))
        await self._run_and_publish(self._join_operation(target, rooms), topic, target, message)
        await self._barriers.of(rooms)

    async def remove_sockets(self, target: Target, rooms: Collection[str]) -> None:
        """Take the sockets that `target` reaches out of rooms."""
        topic = self._checked(target, rooms)
        message = m.LeaveRooms(*self._whom(target), tuple(rooms))
        await self._run_and_publish(self._leave_operation(target, rooms), topic, target, message)

    async def disconnect_sockets(self, target: Target, *, close: bool) -> None:
        """Disconnect the sockets that `target` reaches; with `close` their whole connections."""
        topic = self._checked(target, ())
        message = m.DisconnectSockets(*self._whom(target), close)
        await self._run_and_publish(self._disconnect_operation(target, close=close), topic, target, message)

    async def server_side_emit(self, args: Sequence[Any]) -> None:
        """Send an event to the application on all other nodes that have the namespace."""
        message = m.ServerSideEmit(self.namespace, pack_values(list(args)), None)
        self._node.publish(self._routes.everyone, message)

    async def server_side_emit_with_ack(self, args: Sequence[Any], timeout_s: float) -> list[list[Any]]:
        """Send an event to the application on all other nodes and gather one answer of each that has it.

        Raises:
            RequestTimeoutError: a node did not answer; it keeps the answers that came and names the node.
            BusError: the other nodes could not be asked.
        """
        packed = pack_values(list(args))
        return await self._ask(
            self._node.all_topic,
            tuple(self._node.peers),
            lambda n: m.ServerSideEmit(self.namespace, packed, n),
            timeout_s,
            here=[],
            read=_same,
        )

    async def rooms(self, timeout_s: float) -> set[str]:
        """All rooms of the namespace that have a member on any node; session ids are among them.

        Raises:
            RequestTimeoutError: a node did not answer; it keeps the names that came and names the node.
            BusError: the other nodes could not be asked.
        """
        await self._run_in_order()
        names = await self._ask(
            self._node.all_topic,
            tuple(self._node.peers),
            lambda n: m.FetchRooms(n, self.namespace),
            timeout_s,
            here=list(self._index.rooms()),
            read=_same,
        )
        return set(names)

    def server_count(self) -> int:
        """How many live nodes there are, this one included."""
        return len(self._node.peers) + 1

    # From the bus: `Branch`. Nothing below this line can publish but the answers of `Responder`.

    def receive(self, message: Message, sender: NodeId) -> None:
        """Do what another node says, behind the room operations that are under way."""
        if self._operations.busy:
            self._operations.submit(
                self._room_work(message) or RoomOperation(then=partial(self._take, message, sender))
            )
        else:
            self._take(message, sender)

    def _take(self, message: Message, sender: NodeId) -> None:
        match message:
            case m.BroadcastMessage():
                target = _cached_target(message.rooms, message.except_, message.volatile)
                self.deliver(message.frames, target)
            case m.AckedBroadcast():
                self._replies.acks(sender, message, tuple(self.sids(_target(message))))
            case m.FetchSockets():
                self._replies.descriptions(sender, message, tuple(self.sids(_target(message))))
            case m.FetchRooms():
                self._replies.rooms(sender, message, self._index.rooms())
            case m.ServerSideEmit():
                self._replies.server_side(sender, message)
            case _ if (work := self._room_work(message)) is not None:
                self._operations.submit(work)

    def _room_work(self, message: Message) -> RoomOperation | None:
        match message:
            case m.JoinRooms():
                return self._join_operation(_target(message), message.names)
            case m.LeaveRooms():
                return self._leave_operation(_target(message), message.names)
            case m.DisconnectSockets():
                return self._disconnect_operation(_target(message), close=message.close)
        return None

    def apply(self, request: PublishRequest) -> None:
        """Do what an outside service says, for the sockets here."""
        target = _cached_target(request.rooms, request.except_, request.volatile)
        match request.op:
            case Operation.EMIT if not self._operations.busy:
                self._emit_here(request, target)
            case Operation.EMIT:
                self._operations.submit(RoomOperation(then=partial(self._emit_here, request, target)))
            case Operation.JOIN:
                self._operations.submit(self._join_operation(target, request.names))
            case Operation.LEAVE:
                self._operations.submit(self._leave_operation(target, request.names))
            case Operation.DISCONNECT:
                self._operations.submit(self._disconnect_operation(target, close=request.close))

    def _emit_here(self, request: PublishRequest, target: Target) -> None:
        if request.event is None or not self.sids(target):
            return
        try:
            frames = self._sockets.encode(request.event, request.args)
        except PacketError as error:
            self._node.incidents.report("publish_request_refused", namespace=self.namespace, reason=str(error))
        else:
            self.deliver(frames, target)

    def _remove_all_from(self, rooms: Collection[str], sids: Sequence[Sid]) -> None:
        for sid in sids:
            self._unsubscribe(self._leave_rooms(sid, rooms))

    # The way out.

    def _broadcast(self, topic: bytes, frames: Frames, target: Target) -> None:
        self.deliver(frames, target)
        self._tell(topic, target, m.BroadcastMessage(*self._whom(target), target.volatile, frames))

    async def _run_and_publish(self, work: RoomOperation, topic: bytes, target: Target, message: Message) -> None:
        """Do it here, then tell the others, in the same turn: what comes later here comes later there."""
        work.then = partial(self._tell, topic, target, message)
        await self._operations.run(work)

    def _tell(self, topic: bytes, target: Target, message: Message) -> None:
        if target.local:
            return
        try:
            self._node.publish(topic, message)
        except BusError:
            # The socket of a session id made here was served; only a *room* of that name elsewhere missed it.
            if not self._routes.own_session(target):
                raise

    async def _ask(
        self,
        topic: bytes,
        nodes: Collection[NodeId],
        make: Callable[[int], Message],
        timeout_s: float,
        *,
        here: list[_Answer],
        read: Callable[[Any], _Answer],
    ) -> list[_Answer]:
        """Ask nodes; what is known here comes first in the result, and in the error too."""
        if not nodes:
            return here
        with self._node.responses.open(nodes) as request:
            self._node.ask(topic, make(request.id))
            try:
                answers = await request.result(timeout_s)
            except RequestTimeoutError as error:
                raise RequestTimeoutError(
                    str(error),
                    responses=here + await self._read_all(error.responses, read),
                    expected=len(here) + error.expected,
                    missing=error.missing,
                ) from None
        return here + await self._read_all(answers, read)

    async def _read_all(self, parts: Sequence[bytes], read: Callable[[Any], _Answer]) -> list[_Answer]:
        """Read packed answers in slices, so that ten thousand of them leave the loop free."""
        found: list[_Answer] = []
        rest_at = SLICE_ANSWERS
        for part in parts:
            if len(found) >= rest_at:
                await asyncio.sleep(0)
                rest_at = len(found) + SLICE_ANSWERS
            try:
                found += [read(answer) for answer in unpack_values(part)]
            except (ValueError, TypeError) as error:
                self._node.incidents.report("bus_rubbish", namespace=self.namespace, reason=str(error))
        return found

    def _whom_to_ask(self, target: Target) -> tuple[bytes, tuple[NodeId, ...]]:
        """The topic of a question and the nodes that have to answer it."""
        topic = self._routes.to(target)
        if target.local or self._routes.own_session(target):
            return topic, ()
        owner = self._routes.owner_among(self._node.peers, target)
        if owner is not None:
            return topic, (owner,)
        return self._node.all_topic, tuple(self._node.peers)

    def _checked(self, target: Target, rooms: Collection[str]) -> bytes:
        for room in rooms:
            check_name(room)
        return self._topic(target)

    def _topic(self, target: Target) -> bytes:
        """The one topic that reaches every node with sockets of `target`, or that will have them in a moment."""
        topic = self._routes.to(target)
        return self._routes.everyone if self._recent_joins.concern(target.rooms) else topic

    def _whom(self, target: Target) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        return self.namespace, tuple(target.rooms), tuple(target.except_)

    def _unsubscribe(self, rooms: Iterable[str]) -> None:
        unwanted: Mapping[str, bytes] = self._routes.to_subscribe(rooms)
        if unwanted:
            self._barriers.forget(unwanted)
            self._node.unsubscribe(unwanted.values())


def _target(message: Any) -> Target:
    return _cached_target(message.rooms, message.except_, False)


@lru_cache(maxsize=4_096)
def _cached_target(rooms: tuple[str, ...], except_: tuple[str, ...], volatile: bool) -> Target:
    # One after the other to the same rooms: half the cost of a delivery to one socket would be this value.
    return Target(frozenset(rooms), frozenset(except_), volatile=volatile)


def _same(answer: Any) -> Any:
    return answer
