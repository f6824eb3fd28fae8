"""What this node has sent, kept for a while, to be sent again to whoever missed it. Pure, time is an argument.

Bounded by bytes and by age. Of what does not fit any more the topic is remembered for longer, so that a loss can
be told with an exact count. Numbers are those of `Sequencer`: without a hole, so every n that is kept is found at
once.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from zmqio.protocol.messages import LostRow, ReplayedRow

__all__ = ["MESSAGE_OVERHEAD_BYTES", "ReplayBuffer", "ReplayPage", "ReplayPageLimits"]

MESSAGE_OVERHEAD_BYTES = 200
"""Counted for each message beside its topic and body: what its place here takes (measured: 190 to 220 bytes)."""
TRACES_KEPT = 1 << 17
"""Messages that are gone but whose topic is still known; about 10 MB at most, and 26 s at 5,000 messages a
second."""

MESSAGES_IN_A_PAGE = 5_000
BYTES_IN_A_PAGE = 1 << 20
LOST_BYTES_IN_A_PAGE = 2 << 20
LOST_ROW_BYTES = 24
LOST_NUMBER_BYTES = 9
"""What a lost message takes in an answer, packed, beside its topic."""


class _BufferedMessage(NamedTuple):
    topic: bytes
    body: bytes
    at: float
    size: int


class _Trace(NamedTuple):
    topic: bytes
    at: float


@dataclass(frozen=True, slots=True)
class ReplayPageLimits:
    """How much one answer may hold, and how much work it may be.

    Attributes:
        messages: most messages in it.
        size_bytes: most bytes of topics and bodies, unless the first alone has more and nothing lost goes with it.
        lost_bytes: most bytes of `LostRow`s, about; what is lost beyond that is told as forgotten.
        scanned: most messages looked at, asked for or not.
    """

    messages: int = MESSAGES_IN_A_PAGE
    size_bytes: int = BYTES_IN_A_PAGE
    lost_bytes: int = LOST_BYTES_IN_A_PAGE
    scanned: int = 20_000


DEFAULT_LIMITS = ReplayPageLimits()


@dataclass(frozen=True, slots=True)
class ReplayPage:
    """What is sent again at once; see `zmqio.protocol.messages.ReplayAnswer` for the fields."""

    upto: int
    complete: bool
    forgotten: int
    lost: tuple[LostRow, ...]
    messages: tuple[ReplayedRow, ...]


class ReplayBuffer:
    """Keeps the newest messages of one node.

    Args:
        max_bytes: most bytes kept, `MESSAGE_OVERHEAD_BYTES` for each message among them; beyond it the oldest go.
        max_age_s: seconds that a message is kept.
        traces_kept: of how many messages that are gone the topic is remembered.

    Attributes:
        size_bytes: bytes kept now.
        dropped_unsent: messages that went before any broker took them.
    """

    def __init__(self, max_bytes: int, max_age_s: float, *, traces_kept: int = TRACES_KEPT) -> None:
        self.size_bytes = 0
        self.dropped_unsent = 0
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._kept: dict[int, _BufferedMessage] = {}
        self._traces: deque[_Trace] = deque(maxlen=traces_kept)
        self._first = 1
        self._next = 1
        self._unsent_from: int | None = None

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def unsent(self) -> int:
        """How many of the newest messages no broker has taken yet, at most."""
        return 0 if self._unsent_from is None else self._next - max(self._unsent_from, self._first)

    def has_room(self, size_bytes: int) -> bool:
        """Whether a message of so many bytes fits without losing one that no broker has taken."""
        needed = self.size_bytes + size_bytes + MESSAGE_OVERHEAD_BYTES - self._max_bytes
        number = self._first
        end = self._next if self._unsent_from is None else self._unsent_from
        while needed > 0 and number < end:
            needed -= self._kept[number].size
            number += 1
        return needed <= 0

    def add(self, n: int, topic: bytes, body: bytes, now: float, *, sent: bool) -> None:
        """Keep the message with the next number.

        Args:
            n: its number; the one after that of the last call.
            topic: where it was sent.
            body: what was sent.
            now: the time.
            sent: whether a broker took it. Once one is taken, those before it count as taken too: they are asked
                for by who misses them.

        Raises:
            ValueError: it is not the next number.
        """
        if n != self._next:
            raise ValueError(f"message {n} is not the next one, {self._next}")
        self._next = n + 1
        size = len(topic) + len(body) + MESSAGE_OVERHEAD_BYTES
        self._kept[n] = _BufferedMessage(topic, body, now, size)
        self.size_bytes += size
        if sent:
            self._unsent_from = None
        elif self._unsent_from is None:
            self._unsent_from = n
        if self.size_bytes > self._max_bytes or now - self._kept[self._first].at > self._max_age_s:
            self.expire(now)

    def taken(self) -> None:
        """Everybody has heard of the newest number: what is kept is asked for by who misses it."""
        self._unsent_from = None

    def expire(self, now: float) -> None:
        """Drop what is too old, or too much."""
        oldest = now - self._max_age_s
        while self._kept and (self.size_bytes > self._max_bytes or self._kept[self._first].at < oldest):
            self._drop_first()

    def page(
        self,
        after: int,
        wanted: Callable[[bytes], bool],
        *,
        max_age_s: float,
        now: float,
        limits: ReplayPageLimits = DEFAULT_LIMITS,
    ) -> ReplayPage:
        """Collect what was sent after a number, on some topics.

        Args:
            after: the highest number that is not wanted.
            wanted: whether a topic is.
            max_age_s: seconds; what is older is not wanted either, and is not missed.
            now: the time.
            limits: when to stop; the rest is for the next page.
        """
        oldest = now - max_age_s
        after = min(after, self._next - 1)
        lost, forgotten = self._lost(after, wanted, oldest, now, limits.lost_bytes)
        start = self._first_younger(max(after + 1, self._first), oldest)
        rows, upto = self._rows(start, wanted, now, limits, first_always=not lost)
        return ReplayPage(upto, upto == self._next - 1, forgotten, lost, rows)

    def _rows(
        self,
        start: int,
        wanted: Callable[[bytes], bool],
        now: float,
        limits: ReplayPageLimits,
        *,
        first_always: bool,
    ) -> tuple[tuple[ReplayedRow, ...], int]:
        rows: list[ReplayedRow] = []
        size = 0
        for n in range(start, min(self._next, start + limits.scanned)):
            topic, body, at, _ = self._kept[n]
            if not wanted(topic):
                continue
            size += len(topic) + len(body)
            if (rows or not first_always) and (size > limits.size_bytes or len(rows) >= limits.messages):
                return tuple(rows), n - 1
            rows.append(ReplayedRow(topic, body, max(0.0, now - at)))
        return tuple(rows), min(self._next, start + limits.scanned) - 1

    def _first_younger(self, start: int, oldest: float) -> int:
        """The first number from `start` on that was sent at `oldest` or later; times never go down."""
        low, high = start, self._next
        while low < high:
            middle = (low + high) // 2
            if self._kept[middle].at < oldest:
                low = middle + 1
            else:
                high = middle
        return low

    def _lost(
        self, after: int, wanted: Callable[[bytes], bool], oldest: float, now: float, max_bytes: int
    ) -> tuple[tuple[LostRow, ...], int]:
        """Count what is gone, from the newest on."""
        numbers: dict[bytes, list[int]] = {}
        newest: dict[bytes, float] = {}
        n = self._first
        forgotten = 0
        for topic, at in reversed(self._traces):
            n -= 1
            if n <= after or at < oldest:
                break
            if not wanted(topic):
                continue
            if topic not in numbers:
                numbers[topic], newest[topic] = [], at
                max_bytes -= len(topic) + LOST_ROW_BYTES
            max_bytes -= LOST_NUMBER_BYTES
            if max_bytes < 0:
                forgotten = n - after
                break
            numbers[topic].append(n)
        else:
            forgotten = max(0, n - 1 - after)
        rows = (
            LostRow(topic, tuple(reversed(ns)), max(0.0, now - newest[topic]))
            for topic, ns in numbers.items()
            if ns
        )
        return tuple(rows), forgotten

    def _drop_first(self) -> None:
        n = self._first
        topic, _, at, size = self._kept.pop(n)
        self._first = n + 1
        self.size_bytes -= size
        if self._unsent_from is not None and n >= self._unsent_from:
            self.dropped_unsent += 1
        self._traces.append(_Trace(topic, at))
