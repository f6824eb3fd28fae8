"""The table of `zmqio top`: at most 80 columns wide. Pure: from rows to what rich prints.

rich is the extra `zmqio[top]`, so it is imported on use.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zmqio.top.overview import BrokerRow, NodeRow

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

__all__ = ["compact", "render"]

STALE_AFTER_S = 5.0
"""A node that has not answered for so many seconds is shown as silent."""
NODE_CHARACTERS = 8
HOST_CHARACTERS = 15
PROBLEM_CHARACTERS = 45


def render(nodes: Iterable[NodeRow], brokers: Iterable[BrokerRow]) -> "RenderableType":
    """Return the lines of the brokers and the table of the nodes."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("node", no_wrap=True)
    table.add_column("process", no_wrap=True)
    for title in ("clients", "ev in", "ev out", "bus in", "bus out", "lag ms", "ring", "fail"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in sorted(nodes, key=lambda row: (row.host, row.pid, row.node)):
        table.add_row(*_cells(row), style=_style(row))
    lines = [_broker_line(row) for row in brokers]
    hint = Text("events and messages per second; Ctrl-C ends", style="dim")
    return Group(*lines, Text(), table, Text(), hint)


def compact(number: float) -> str:
    """Write a number in at most 5 characters: 0, 9.5, 512, 10.3k, 4.2M."""
    for unit in ("", "k", "M", "G"):
        if number < 999.5:
            digits = 1 if number < 99.95 and (unit or number != int(number)) else 0
            return f"{number:.{digits}f}{unit}"
        number /= 1000
    return f"{number:.0f}T"


def _cells(row: NodeRow) -> tuple[str, ...]:
    process = f"{row.host[: HOST_CHARACTERS - len(str(row.pid)) - 1]}:{row.pid}"
    numbers = (row.sessions, row.events_in, row.events_out, row.bus_in, row.bus_out, row.lag_ms)
    return (
        row.node[:NODE_CHARACTERS],
        process,
        *map(compact, numbers),
        compact(row.ring_bytes),
        compact(row.failures),
    )


def _style(row: NodeRow) -> str:
    if row.age_s >= STALE_AFTER_S:
        return "dim"
    return "" if row.ready else "red"


def _broker_line(row: BrokerRow) -> "Text":
    from rich.text import Text

    if row.problem:
        return Text(f"broker {row.address}  {row.problem[:PROBLEM_CHARACTERS]}", style="red", no_wrap=True)
    if row.server:
        return Text(f"{row.server}  {row.address}", no_wrap=True, overflow="ellipsis")
    facts = (
        f"up {_duration(row.uptime_s)}",
        f"{row.connected} connected",
        f"in {compact(row.messages_in)}/s {compact(row.bytes_in)}B/s",
        f"outside {compact(row.ingest)}/s",
    )
    return Text(f"broker {row.address}  " + "  ".join(facts), no_wrap=True, overflow="ellipsis")


def _duration(seconds: float) -> str:
    minutes = int(seconds) // 60
    if minutes < 1:
        return f"{int(seconds)}s"
    if minutes < 60:
        return f"{minutes}m"
    return f"{minutes // 60}h{minutes % 60:02}m" if minutes < 48 * 60 else f"{minutes // 1440}d"
