"""The position of one namespace on one node: the vector of what the node has delivered there. Pure.

The position is written at the end of each event as the *offset* of the event. A client that reconnects sends the
last offset that it received. An offset must never be ahead of the packets that were delivered, because its
client would then lose events silently. It may lag behind.

An offset refers to a *table*, which is a copy of the position at an earlier moment, and adds the differences. Only
the node that keeps the table can decode the offset. A new table is made at most once per second, and whenever the
differences grow long.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from zmqio.ids import NodeId
from zmqio.recovery.vector import decode_vector, encode_vector, log_key

__all__ = ["Position", "Table", "Tables", "explicit_offset"]

TABLE_INTERVAL_S = 1.0
USE_MARGIN_S = 10.0
"""Seconds for which a table may be used after the next one was made."""
MAX_DIFFERENCES = 96
"""Most characters of the differences in one offset. Beyond that, a new table is made."""
OWN_ROW = 0
"""The row of this node's own packets in each of its tables."""
MAX_TABLES = 2_000
"""Most tables of one namespace that are kept: about 300 kB with 10 nodes."""
MAX_OFFSET = 128
"""Longest offset of a table."""
_EXPLICIT = "~"


@dataclass(slots=True)
class Table:
    """A copy of the position.

    Attributes:
        at: when it was made.
        keys: the keys, shared with other tables.
        numbers: the number of each key.
        used_until: when the last offset was made that refers to it.
    """

    at: float
    keys: tuple[str, ...]
    numbers: "array[int]"
    used_until: float = inf

    def vector(self, differences: list[int]) -> dict[str, int] | None:
        """The position that an offset stands for; None if the differences are malformed."""
        numbers = list(self.numbers)
        if len(differences) % 2 or any(number < 0 for number in differences):
            return None
        for row, difference in zip(differences[::2], differences[1::2], strict=True):
            if row >= len(numbers):
                return None
            numbers[row] += difference
        return dict(zip(self.keys, numbers, strict=True))


class Tables:
    """The tables of one namespace, to decode its offsets.

    Args:
        tag: the first characters of each offset.

    Attributes:
        by_id: id -> table; the newest last.
        oldest: lowest id of a table that is kept or was dropped because of its age.
    """

    def __init__(self, tag: str) -> None:
        self.by_id: OrderedDict[int, Table] = OrderedDict()
        self.oldest = 0
        self._tag = tag

    def add(self, table_id: int, table: Table, now: float, keep_s: float) -> None:
        """Add the newest table, and drop those that no offset of the last `keep_s` seconds refers to."""
        self.oldest = self.oldest or table_id
        if self.by_id:
            newest = next(reversed(self.by_id.values()))
            newest.used_until = min(newest.used_until, now + USE_MARGIN_S)
        self.by_id[table_id] = table
        while next(iter(self.by_id.values())).used_until < now - keep_s:
            self.by_id.popitem(last=False)
        while len(self.by_id) > MAX_TABLES:
            self.by_id.popitem(last=False)
            self.oldest = next(iter(self.by_id))

    @property
    def newest_at(self) -> float:
        """The time at which the newest table was made; 0 without tables."""
        return next((table.at for table in reversed(self.by_id.values())), 0.0)

    def forget(self) -> None:
        """Forget all tables: their offsets are wrong."""
        self.by_id.clear()
        self.oldest = 0

    def decode(self, text: str) -> dict[str, int] | None:
        """Decode an offset that a client sent.

        Returns:
            The vector; None if the offset is malformed, or of another namespace or node. The vector of an offset
            whose table is too old is empty: every packet that is still kept was sent after the table was made.
        """
        if text.startswith(_EXPLICIT):
            return decode_vector(text[1:])
        tag = self._tag
        if not text.startswith(tag) or not len(tag) < len(text) <= MAX_OFFSET or not text.isascii():
            return None
        table_id, point, rest = text[len(tag) :].partition(".")
        try:
            number = int(table_id, 16)
            differences = [int(part, 16) for part in rest.split(".")] if rest else []
        except ValueError:
            return None
        table = self.by_id.get(number)
        if table is not None and point:
            return table.vector(differences)
        return {} if self.by_id and self.oldest <= number < next(iter(self.by_id)) else None


class Position:
    """The position of one namespace on this node.

    Args:
        node_id: this node.
        tag: the first characters of each offset: those of this node.
        own: the log number of this node's newest packet.
        keep_s: seconds that tables are kept.
        table_ids: gives each table an id that no other table of this node has.

    Attributes:
        tables: the tables of its offsets.
    """

    def __init__(self, node_id: NodeId, tag: str, own: int, keep_s: float, table_ids: Iterator[int]) -> None:
        self.tables = Tables(tag)
        self._tag = tag
        self._keep_s = keep_s
        self._numbers: dict[str, int] = {log_key(node_id): own}
        self._own_key = log_key(node_id)
        self._rows: dict[str, int] = {}
        self._keys: tuple[str, ...] = ()
        self._bases: list[int] = []
        self._changed: dict[int, int] = {}
        self._changed_text: str | None = None
        self._table_ids = table_ids
        self._pending: tuple[int, tuple[str, ...], list[int]] | None = None
        self._is_copied = False
        self._table_text = ""
        self._renew_at = 0.0
        self._text: str | None = None
        self._vector: dict[str, int] | None = None

    def advance(self, number: int, now: float) -> None:
        """Note that a packet of this node is delivered: its log number."""
        self._numbers[self._own_key] = number
        self._text = self._vector = None
        if now >= self._renew_at:
            self._renew_at = 0.0  # a new table is made with the next offset

    def received(self, node_id: NodeId, number: int, now: float) -> bool:
        """Note that a packet of another node is delivered: its bus number.

        Returns:
            False if a later packet was delivered before. Offsets made until now are then ahead of what their
            clients received, so they are forgotten: those clients cannot be recovered.
        """
        if number <= self._numbers.get(node_id, 0):
            self.forget()
            return False
        self._numbers[node_id] = number
        self._text = self._vector = self._changed_text = None
        row = self._rows.get(node_id)
        if row is None or now >= self._renew_at:
            self._renew_at = 0.0
        else:
            self._changed[row] = number - self._bases[row]
        return True

    def forget(self) -> None:
        """Forget all offsets made until now."""
        self.tables.forget()
        self._renew_at = 0.0
        self._text = self._pending = None

    def vector(self) -> dict[str, int]:
        """A copy of the position, which is shared: do not change it."""
        if self._vector is None:
            self._vector = dict(self._numbers)
        return self._vector

    def offset(self, now: float) -> str:
        """The position as the text that ends an event."""
        if self._text is None:
            self._text = self._make_text(now)
        return self._text

    def renew_table(self, now: float) -> None:
        """Use the table that the last call made, and make the next one if the position has changed.

        From now on, tables are made here only, as far as possible: each is copied to another node before it is
        used. Call it once per second.
        """
        if self._pending is not None:
            self._use_table(*self._pending)
            self._pending = None
        self._is_copied = True
        if self._renew_at:
            self._renew_at = inf
        if self._changed or self._own_difference:
            self._pending = self._add_table(now)

    def stop_copying(self) -> None:
        """Make tables when they are needed, as before the first `renew_table`."""
        self._is_copied, self._pending, self._renew_at = False, None, 0.0

    @property
    def _own_difference(self) -> int:
        return self._numbers[self._own_key] - self._bases[OWN_ROW] if self._bases else 0

    def _make_text(self, now: float) -> str:
        if now >= self._renew_at:
            self._make_table(now)
            return self._table_text
        others = self._changed_text
        if others is None:
            parts = [f".{row:x}.{difference:x}" for row, difference in self._changed.items()]
            others = self._changed_text = "".join(parts)
        if len(others) > MAX_DIFFERENCES:
            self._make_table(now)
            return self._table_text
        own = self._numbers[self._own_key] - self._bases[OWN_ROW]
        return f"{self._table_text}{OWN_ROW:x}.{own:x}{others}" if own else self._table_text + others[1:]

    def _make_table(self, now: float) -> None:
        self._pending = None
        self._use_table(*self._add_table(now))
        self._renew_at = inf if self._is_copied else now + TABLE_INTERVAL_S

    def _add_table(self, now: float) -> tuple[int, tuple[str, ...], list[int]]:
        keys = self._keys if len(self._keys) == len(self._numbers) else tuple(self._numbers)
        table_id, numbers = next(self._table_ids), list(self._numbers.values())
        self.tables.add(table_id, Table(now, keys, array("q", numbers)), now, self._keep_s)
        return table_id, keys, numbers

    def _use_table(self, table_id: int, keys: tuple[str, ...], numbers: list[int]) -> None:
        if keys is not self._keys:
            self._keys, self._rows = keys, {key: row for row, key in enumerate(keys)}
        self._bases = numbers
        self._table_text = f"{self._tag}{table_id:x}."
        self._text = self._changed_text = None
        self._changed.clear()
        for row, (key, base) in enumerate(zip(keys, numbers, strict=True)):
            if row != OWN_ROW and self._numbers[key] != base:
                self._changed[row] = self._numbers[key] - base
        if len(keys) != len(self._numbers):
            self._renew_at = 0.0  # a node has sent its first packet in the meantime


def explicit_offset(vector: dict[str, int]) -> str:
    """An offset that needs no table. It is long, so only packets that are sent again have one."""
    return _EXPLICIT + encode_vector(vector)
