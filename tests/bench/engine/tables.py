"""Results as lines of text: a table for each metric with ratios to the peers, then the targets."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.bench.engine.results import Metric, Results

__all__ = ["MEDIANS", "Layout", "Target"]

MEDIANS = "Medians of alternating runs, [lowest - highest]; ratios: medians of the rounds' ratios."


@dataclass(frozen=True, slots=True)
class Target:
    """One figure that must not be higher than `most`.

    Attributes:
        text: what it is.
        most: its limit.
        figure: reads it from the results; None if it was not measured.
    """

    text: str
    most: float
    figure: Callable[[Results], float | None]


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of the results of one benchmark.

    Attributes:
        peers: the servers to which ratios are given, one column each.
        metric, server, ratio: widths of these columns in characters.
        digits: decimal places of a ratio.
    """

    peers: Sequence[str]
    metric: int
    server: int
    ratio: int
    digits: int

    def lines(self, results: Results, targets: Sequence[Target]) -> Iterator[str]:
        """The tables, an empty line, and the targets."""
        yield from self._tables(results)
        yield ""
        yield from self._targets(results, targets)

    def _tables(self, results: Results) -> Iterator[str]:
        scenario = None
        for metric in results.metrics:
            if metric[0] != scenario:
                scenario = metric[0]
                columns = "".join(f"{'x ' + peer:>{self.ratio}}" for peer in self.peers)
                yield f"\n{scenario:<{self._before_runs}}{'runs':>5}{columns}"
            for server in results.servers(metric):
                yield self._row(results, metric, server)

    def _row(self, results: Results, metric: Metric, server: str) -> str:
        runs = results.runs(metric, server)
        spread = f"[{_number(min(runs))} - {_number(max(runs))}]" if len(runs) > 1 else ""
        ratios = [results.ratio(metric, server, peer) for peer in self.peers]
        cells = "".join(f"{'' if x is None else f'{x:.{self.digits}f}':>{self.ratio}}" for x in ratios)
        name = f"  {metric[1]:<{self.metric}.{self.metric}}{server:<{self.server}}"
        return f"{name}{_number(results.median(metric, server) or 0.0):>9} {spread:<20}{len(runs):>5}{cells}"

    def _targets(self, results: Results, targets: Sequence[Target]) -> Iterator[str]:
        yield f"{'target':<{self._before_runs}}{'at most':>10}{'found':>10}"
        for target in targets:
            found = target.figure(results)
            if found is not None:
                verdict = "met" if found <= target.most else "NOT MET"
                figures = f"{target.most:>10g}{found:>10.{self.digits}f}"
                yield f"{target.text:<{self._before_runs}}{figures}  {verdict}"

    @property
    def _before_runs(self) -> int:
        return 2 + self.metric + self.server + 30


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
