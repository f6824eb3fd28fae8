"""The answer to a GET that another node carries to the client, until it is known whether the client has it.

Until then the session sends nothing else, so that no packet between others is lost. Knows the packets of the
answer; must not know sessions or the messages between nodes.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from zmqio.engine.http_exchange import AnswerFate
from zmqio.engine.packets import Prepared

__all__ = ["OnSettled", "RelayedAnswer"]


class RelayedAnswer:
    """An answer under way (`SentAnswer`).

    Args:
        packets: its packets.
        query: the query of its GET.
        on_settled: called with the answer when its fate is known; more than once if the fates contradict.

    Attributes:
        packets: its packets; None once they were freed.
        carrier_lost: whether the node that carried it has died.
    """

    __slots__ = ("_on_settled", "_query", "carrier_lost", "packets")

    def __init__(self, packets: Sequence[Prepared], query: str, on_settled: "OnSettled") -> None:
        self.packets: Sequence[Prepared] | None = packets
        self.carrier_lost = False
        self._query = query
        self._on_settled = on_settled

    def is_repeated_by(self, query: str) -> bool:
        """Whether a GET with this query repeats the answered one, so that the client cannot have the answer.

        Clients give each request another `t`, so equal queries come from a proxy whose first node did not respond.
        """
        return query == self._query and "t=" in (field[:2] for field in query.split("&"))

    def settle(self, fate: AnswerFate) -> None:
        """Note what became of the answer."""
        self._on_settled(self, fate)

    def forget_packets(self) -> None:
        """Free the packets: too many are kept."""
        self.packets = None


OnSettled: TypeAlias = Callable[[RelayedAnswer, AnswerFate], None]
