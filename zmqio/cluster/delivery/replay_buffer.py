"""Keeps the messages that this node sent for a while, to replay them on request. Pure, time is an argument.

The buffer is bounded by bytes and by age. The topics of dropped messages are remembered for longer, so that a loss
is reported with an exact count. Message numbers come from a `Sequencer` and have no gap, so each message is found
by its number.

A message that no broker has accepted is *held*: newer messages do not replace it, because no other node can have
received it. It is released once it has been sent to a node in an answer, or after a time.

A message that finds no room is *refused*: it has a number, and its topic is kept, so that other nodes report it
as lost. So is the oldest message of the relay when these messages take more than `RELAY_SHARE` of the buffer. They
are of use for seconds only, and must not replace broadcasts.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from zmqio.protocol.messages import LostRow, ReplayedRow, TopicRow

__all__ = ["MESSAGE_OVERHEAD_BYTES", "ReplayBuffer", "ReplayPage", "ReplayPageLimits"]

MESSAGE_OVERHEAD_BYTES = 200
"""Counted for each message beside its topic and body: its share of the buffer (measured: 190 to 220 bytes)."""
DROPPED_KEPT = 1 << 17
"""Dropped messages whose topics are remembered: about 10 MB at most, and 26 s at 5,000 messages per second."""

RELAY_SHARE = 0.25
"""Of the buffer: 16 MiB by default, more than 20 s of all requests that one process can relay."""
MAX_REFUSED = 100_000
"""Refused messages whose topics are kept: about 20 MB. They expire with age, like others."""

MAX_PAGE_MESSAGES = 5_000
MAX_PAGE_BYTES = 1 << 20
MAX_PAGE_LOST_BYTES = 2 << 20
LOST_ROW_BYTES = 24
LOST_NUMBER_BYTES = 9
"""Size of a lost message in an answer, packed, beside its topic."""
EXAMINED_BYTES = 100
"""Counted for each examined message, because that takes time even if the message is not sent."""


class _BufferedMessage(NamedTuple):
    topic: bytes
    body: bytes | None  # None if it was refused or taken out
    at: float
    size: int


class _DroppedMessage(NamedTuple):
    topic: bytes
    at: float


@dataclass(frozen=True, slots=True)
class ReplayPageLimits:
    """Limits of one answer, in size and in work.

    Attributes:
        messages: most messages.
        size_bytes: most bytes of topics and bodies. A larger first message is sent all the same, unless the answer
            also reports losses.
        lost_bytes: most bytes of `LostRow`s, about; losses beyond that are reported as forgotten.
        scanned: most messages examined, whether they are requested or not.
    """

    messages: int = MAX_PAGE_MESSAGES
    size_bytes: int = MAX_PAGE_BYTES
    lost_bytes: int = MAX_PAGE_LOST_BYTES
    scanned: int = 20_000


DEFAULT_LIMITS = ReplayPageLimits()


@dataclass(frozen=True, slots=True)
class ReplayPage:
    """The content of one answer; see `zmqio.protocol.messages.ReplayAnswer` for the fields.

    `examined` counts the messages that were examined for it, whether they were requested or not.
    """

    upto: int
    complete: bool
    forgotten: int
    lost: tuple[LostRow, ...]
    messages: tuple[ReplayedRow, ...]
    examined: int = 0
    newest: tuple[TopicRow, ...] = ()

    @property
    def cost_bytes(self) -> int:
        """The bytes of its messages and losses, and the work to find them, counted as bytes."""
        rows = sum(len(row.topic) + len(row.body) for row in self.messages)
        lost = sum(len(row.topic) + LOST_ROW_BYTES + LOST_NUMBER_BYTES * len(row.numbers) for row in self.lost)
        newest = sum(len(row.topic) + LOST_ROW_BYTES for row in self.newest)
        return rows + lost + newest + EXAMINED_BYTES * self.examined


class ReplayBuffer:
    """The newest messages of one node.

    Args:
        max_bytes: most bytes kept, including `MESSAGE_OVERHEAD_BYTES` per message; beyond that, the oldest are
            dropped.
        max_age_s: seconds that a message is kept.
        dropped_kept: of how many dropped messages the topics are remembered.

    Attributes:
        size_bytes: bytes kept now.
        dropped_unsent: held messages that were dropped because of their age.
    """

    def __init__(self, max_bytes: int, max_age_s: float, *, dropped_kept: int = DROPPED_KEPT) -> None:
        self.size_bytes = 0
        self.dropped_unsent = 0
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._kept: dict[int, _BufferedMessage] = {}
        self._dropped: deque[_DroppedMessage] = deque(maxlen=dropped_kept)
        self._first = 1
        self._next = 1
        self._refused = 0
        self._relayed: deque[tuple[int, int]] = deque()  # number, size
        self._relayed_bytes = 0
        self._unsent_from: int | None = None
        self._held_from: int | None = None
        self._held_upto = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def newest(self) -> int:
        """The highest number added; 0 before the first."""
        return self._next - 1

    @property
    def unsent(self) -> int:
        """Number of the newest messages that perhaps no broker has accepted."""
        return 0 if self._unsent_from is None else self._next - max(self._unsent_from, self._first)

    @property
    def held(self) -> int:
        """The number of messages that no other node can have received yet, at most."""
        return 0 if self._held_from is None else self._held_upto + 1 - max(self._held_from, self._first)

    @property
    def is_holding(self) -> bool:
        """Whether messages are held."""
        return self._held_from is not None

    def has_room(self, size_bytes: int) -> bool:
        """Whether a message of that size fits without dropping a held one."""
        needed = self.size_bytes + size_bytes + MESSAGE_OVERHEAD_BYTES - self._max_bytes
        if needed <= 0:
            return True
        if self._held_from is None:
            return needed <= self.size_bytes
        for number in range(self._first, self._held_from):
            needed -= self._kept[number].size
            if needed <= 0:
                return True
        return False

    def add(self, n: int, topic: bytes, body: bytes, now: float) -> None:
        """Keep the next message. Call `hold_newest` unless a broker accepts it, and `trim` in any case.

        Args:
            n: its number: one more than in the last call.
            topic: its topic.
            body: its body.
            now: the time.

        Raises:
            ValueError: `n` is not the next number.
        """
        if n != self._next:
            raise ValueError(f"message {n} cannot be added: the next number is {self._next}")
        size = len(topic) + len(body) + MESSAGE_OVERHEAD_BYTES
        self._kept[n] = _BufferedMessage(topic, body, now, size)
        self._next = n + 1
        self.size_bytes += size

    def mark_sent(self) -> None:
        """Note that a broker accepted the newest message: nodes learn of those before it, and request them."""
        self._unsent_from = None

    def hold_newest(self) -> None:
        """Hold the newest message, because no broker has accepted it."""
        self._held_upto = self.newest
        if self._held_from is None:
            self._held_from = self.newest
        if self._unsent_from is None:
            self._unsent_from = self.newest

    def refuse_newest(self) -> bool:
        """Keep only the topic of the newest message; False, and nothing is changed, if too many were refused."""
        if self._refused >= MAX_REFUSED:
            return False
        refused = self._kept[self.newest]
        self._kept[self.newest] = refused._replace(body=None, size=0)  # their number is limited, not their size
        self.size_bytes -= refused.size
        self._refused += 1
        return True

    def mark_relayed(self) -> None:
        """Note that the newest message is of the relay. The oldest give way if all take too much room."""
        size = self._kept[self.newest].size
        self._relayed.append((self.newest, size))
        self._relayed_bytes += size
        most = RELAY_SHARE * self._max_bytes
        while len(self._relayed) > 1 and (self._relayed_bytes > most or self._relayed[0][0] < self._first):
            n, size = self._relayed.popleft()
            self._relayed_bytes -= size
            if n in self._kept:
                self._take_out(n)

    def remove_newest(self) -> None:
        """Undo the last `add`: the message was not sent, and may not wait."""
        self.size_bytes -= self._kept.pop(self.newest).size
        self._next -= 1

    def release(self, upto: int) -> None:
        """Stop holding the messages up to a number: other nodes have had the opportunity to receive them."""
        if self._held_from is not None and upto >= self._held_from:
            self._held_from = upto + 1 if upto < self._held_upto else None
        if self._unsent_from is not None and upto >= self._unsent_from:
            self._unsent_from = upto + 1 if upto < self.newest else None

    def trim(self) -> None:
        """Drop messages that exceed the limits, as of the newest message."""
        if self._kept:
            newest_at = self._kept[self.newest].at
            if self.size_bytes > self._max_bytes or newest_at - self._kept[self._first].at > self._max_age_s:
                self.expire(newest_at)

    def expire(self, now: float) -> None:
        """Drop messages that are too old, or that exceed the size limit."""
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
        """Collect the messages after a number, on some topics.

        Args:
            after: the highest number that is not requested.
            wanted: whether a topic is requested.
            max_age_s: seconds; older messages are neither requested nor counted as lost.
            now: the time.
            limits: where to stop; the next page continues there.
        """
        oldest = now - max_age_s
        after = min(after, self._next - 1)
        lost, forgotten = self._lost(after, wanted, oldest, limits.lost_bytes)
        start = self._first_since(max(after + 1, self._first), oldest)
        rows, upto = self._rows(start, wanted, now, limits, lost)
        dropped = min(len(self._dropped), max(0, self._first - 1 - after))
        examined = dropped + upto + 1 - start
        return ReplayPage(upto, upto == self._next - 1, forgotten, lost.rows(now), rows, examined)

    def newest_page(
        self,
        after: int,
        wanted: Callable[[bytes], bool],
        *,
        max_age_s: float,
        now: float,
        limits: ReplayPageLimits = DEFAULT_LIMITS,
    ) -> ReplayPage:
        """Collect the newest message of each topic after a number; see `page`.

        The messages that are no longer kept are not looked up: the page counts all of them as forgotten.
        """
        after = min(after, self._next - 1)
        forgotten = max(0, self._first - 1 - after)
        start = self._first_since(max(after + 1, self._first), now - max_age_s)
        end = min(self._next, start + limits.scanned)
        newest: dict[bytes, int] = {}
        size = 0
        for n in range(start, end):
            topic = self._kept[n].topic
            if topic not in newest:
                if not wanted(topic):
                    continue
                size += len(topic) + LOST_ROW_BYTES
                if newest and size > limits.size_bytes:
                    end = n
                    break
            newest[topic] = n
        rows = tuple(TopicRow(topic, n, max(0.0, now - self._kept[n].at)) for topic, n in newest.items())
        return ReplayPage(end - 1, end == self._next, forgotten, (), (), end - start, rows)

    def _rows(
        self, start: int, wanted: Callable[[bytes], bool], now: float, limits: ReplayPageLimits, lost: "_Losses"
    ) -> tuple[tuple[ReplayedRow, ...], int]:
        """The messages from a number on, and the last number examined; adds refused ones to `lost`."""
        rows: list[ReplayedRow] = []
        size = 0
        for n in range(start, min(self._next, start + limits.scanned)):
            topic, body, at, _ = self._kept[n]
            if not wanted(topic):
                continue
            if body is None:
                if not lost.add(topic, n, at):
                    return tuple(rows), n - 1
                continue
            size += len(topic) + len(body)
            if (rows or lost) and (size > limits.size_bytes or len(rows) >= limits.messages):
                return tuple(rows), n - 1
            rows.append(ReplayedRow(topic, body, max(0.0, now - at)))
        return tuple(rows), min(self._next, start + limits.scanned) - 1

    def _first_since(self, start: int, oldest: float) -> int:
        """The first number from `start` on that was sent at `oldest` or later; times never decrease."""
        low, high = start, self._next
        while low < high:
            middle = (low + high) // 2
            if self._kept[middle].at < oldest:
                low = middle + 1
            else:
                high = middle
        return low

    def _lost(
        self, after: int, wanted: Callable[[bytes], bool], oldest: float, max_bytes: int
    ) -> tuple["_Losses", int]:
        """Return the dropped messages after a number, and how many more have no known topic, or do not fit."""
        lost = _Losses(max_bytes)
        n = self._first
        for topic, at in reversed(self._dropped):
            n -= 1
            if n <= after or at < oldest:
                return lost, 0
            if wanted(topic) and not lost.add(topic, n, at):
                return lost, n - after
        return lost, max(0, n - 1 - after)

    def _take_out(self, n: int) -> None:
        message = self._kept[n]
        size = len(message.topic) + MESSAGE_OVERHEAD_BYTES
        self._kept[n] = message._replace(body=None, size=size)
        self.size_bytes -= message.size - size

    def _drop_first(self) -> None:
        n = self._first
        topic, body, at, size = self._kept.pop(n)
        self._first = n + 1
        self.size_bytes -= size
        self._refused -= not size
        if self._held_from is not None and n >= self._held_from:
            self.dropped_unsent += body is not None
            self.release(n)
        self._dropped.append(_DroppedMessage(topic, at))


class _Losses:
    """The numbers of lost messages by topic, within a size.

    Args:
        max_bytes: most bytes of the rows, about.
    """

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._topics: dict[bytes, tuple[list[int], float]] = {}  # topic -> numbers; time of the newest

    def __bool__(self) -> bool:
        return bool(self._topics)

    def add(self, topic: bytes, n: int, at: float) -> bool:
        """Add a number; False if it does not fit. The first one always does."""
        numbers, newest_at = self._topics.get(topic, ([], at))
        self._left -= LOST_NUMBER_BYTES + (0 if numbers else len(topic) + LOST_ROW_BYTES)
        if self._left < 0 and self._topics:
            return False
        numbers.append(n)
        self._topics[topic] = numbers, max(newest_at, at)
        return True

    def rows(self, now: float) -> tuple[LostRow, ...]:
        """The rows; the numbers of each are in order."""
        return tuple(
            LostRow(topic, tuple(sorted(numbers)), max(0.0, now - newest_at))
            for topic, (numbers, newest_at) in self._topics.items()
        )
