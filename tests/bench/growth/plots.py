"""The tables as plots: one SVG for each figure, with a line for each server. Needs pygal (`zmqio[dev]`)."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pygal
from pygal.style import Style

from tests.bench.growth.steps import Row

__all__ = ["write"]

STYLE = Style(
    background="white",
    plot_background="white",
    font_family="sans-serif",
    title_font_size=18,
    label_font_size=13,
    legend_font_size=14,
    colors=("#0b7285", "#e8590c", "#868e96", "#5f3dc4", "#2b8a3e"),
)


def write(folder: Path, dimension: str, results: Mapping[str, Sequence[Row]]) -> list[Path]:
    """Write the plots of one dimension.

    Args:
        folder: where to, created if needed.
        dimension: begins the names of the files.
        results: server -> its rows; those with fewer sizes end earlier.
    """
    longest = max(results.values(), key=len)
    size, *figures = longest[0]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for figure in figures:
        chart = pygal.Line(
            title=figure,
            x_title=size,
            style=STYLE,
            width=720,
            height=400,
            js=(),
            dots_size=4,
            legend_at_bottom=True,
            include_x_axis=True,  # a plot that does not begin with 0 exaggerates
        )
        chart.x_labels = [f"{row[size]:,.0f}" for row in longest]
        for server, rows in results.items():
            chart.add(server, [round(row[figure], 2) for row in rows])
        path = folder / f"{dimension}-{_slug(figure)}.svg"
        path.write_bytes(chart.render())
        paths.append(path)
    return paths


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
