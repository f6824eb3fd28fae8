"""Records the packets of one namespace: in the node's log, and in the position that clients are given.

The adapter calls it where it delivers a packet, so that the position is never ahead of the delivery.
"""

from collections.abc import Callable

from zmqio.ids import NodeId
from zmqio.protocol.packet import Frames
from zmqio.recovery.packet_log import LoggedPacket, PacketLog
from zmqio.recovery.position import Position, Tables

__all__ = ["PacketRecorder"]


class PacketRecorder:
    """The recorder of one namespace.

    Args:
        namespace: its name.
        log: the packets of this node.
        position: the position of the namespace.
        clock: gives the seconds of any steady clock.
    """

    def __init__(self, namespace: str, log: PacketLog, position: Position, clock: Callable[[], float]) -> None:
        self._namespace = namespace
        self._log = log
        self._position = position
        self._clock = clock
        self._now = clock()

    def sent(
        self,
        frames: Frames,
        rooms: frozenset[str] | None,
        except_: frozenset[str] = frozenset(),
        origin: str = "",
    ) -> LoggedPacket:
        """Record a packet of this node, which is about to be delivered.

        Args:
            frames: the encoded packet.
            rooms: members of any of these rooms receive it; None for all sockets.
            except_: members of any of these rooms do not.
            origin: names a packet of an outside service.
        """
        now = self._now = self._clock()
        number = self._log.next_number()
        packet = LoggedPacket(number, now, rooms, except_, frames, None, origin)
        self._log.add(self._namespace, packet)
        self._position.advance(number, now)
        return packet

    def received(self, node_id: NodeId, number: int) -> None:
        """Record a packet of another node, which is about to be delivered: its bus number."""
        self._now = self._clock()
        self._position.received(node_id, number, self._now)

    def offset(self) -> str:
        """The offset of the packet that is delivered now."""
        return self._position.offset(self._now)

    def vector(self) -> dict[str, int]:
        """The position, which is shared: do not change it."""
        return self._position.vector()

    @property
    def tables(self) -> Tables:
        """The tables of the namespace's offsets."""
        return self._position.tables

    def now(self) -> float:
        """The time of the node's clock."""
        return self._clock()

    def renew_table(self) -> None:
        """See `Position.renew_table`."""
        self._position.renew_table(self._clock())

    def stop_copying(self) -> None:
        """See `Position.stop_copying`."""
        self._position.stop_copying()

    def mark(self) -> int:
        """Take a log number, so that offsets made from now on differ from all earlier ones."""
        number = self._log.next_number()
        self._position.advance(number, self._clock())
        return number
