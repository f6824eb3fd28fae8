"""Rows as a table in Markdown, as `docs/performance.md` has them."""

from collections.abc import Sequence

from tests.bench.growth.steps import Row

__all__ = ["render"]


def render(title: str, rows: Sequence[Row]) -> str:
    """One table; numbers have at least two significant digits."""
    columns = list(rows[0])
    lines = [
        f"### {title}",
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---:|' * len(columns)}",
        *(f"| {' | '.join(_number(row[column]) for column in columns)} |" for row in rows),
    ]
    return "\n".join(lines)


def _number(value: float) -> str:
    return (
        f"{value:,.0f}"
        if value >= 100 or value == int(value)
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
    )
