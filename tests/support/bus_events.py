"""A receiver of bus events that records them, for tests."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from tests.support.timing import wait_until
from zmqio.config import BusOptions
from zmqio.protocol.mechanism import MakeMechanism
from zmqio.zeromq.bus import ZmqBus

__all__ = ["RecordedEvents", "running_bus"]


class RecordedEvents:
    """Implements `BusEvents`.

    Attributes:
        messages: `(link, topic, body)` in the order of arrival.
        changes: `(event, link)` in the order of events: "link_lost", "link_connected", "link_writable",
            "link_doubted" or "link_overrun".
    """

    def __init__(self) -> None:
        self.messages: list[tuple[int, bytes, bytes]] = []
        self.changes: list[tuple[str, int]] = []

    def message_received(self, link: int, topic: bytes, body: bytes) -> None:
        self.messages.append((link, topic, body))

    def inbox_departed(self, link: int, topic: bytes) -> None:
        self.changes.append((f"departed {topic!r}", link))

    def link_lost(self, link: int) -> None:
        self.changes.append(("link_lost", link))

    def link_connected(self, link: int) -> None:
        self.changes.append(("link_connected", link))

    def link_writable(self, link: int) -> None:
        self.changes.append(("link_writable", link))

    def link_doubted(self, link: int) -> None:
        self.changes.append(("link_doubted", link))

    def link_overrun(self, link: int) -> None:
        self.changes.append(("link_overrun", link))

    @property
    def bodies(self) -> list[bytes]:
        """Bodies alone."""
        return [body for _, _, body in self.messages]


@contextlib.asynccontextmanager
async def running_bus(
    *addresses: str,
    ready: int | Sequence[int] | None = None,
    events: Any = None,
    mechanisms: Sequence[MakeMechanism] = (),
    **options: Any,
) -> AsyncIterator[tuple[ZmqBus, Any]]:
    """A started bus; waits until the links `ready` are (all of them when left out, `()` for none)."""
    recorded = RecordedEvents() if events is None else events
    bus = ZmqBus(addresses, BusOptions(**options), mechanisms)
    await bus.start(recorded)
    wanted = range(len(addresses)) if ready is None else (ready,) if isinstance(ready, int) else ready
    try:
        await wait_until(lambda: set(wanted) <= set(bus.connected_links), f"links {wanted} are ready")
        yield bus, recorded
    finally:
        await bus.close()
