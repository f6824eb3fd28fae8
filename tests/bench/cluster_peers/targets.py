"""What zmqio has to reach, as the tracker states it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.cluster_peers.peers import NODE, SOCKETIO, ZMQIO
from tests.bench.engine.results import Metric, Results

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """One figure that must not be higher than `most`.

    Attributes:
        text: what it is.
        most: its limit.
        figure: takes it out of the results; None when it was not measured.
    """

    text: str
    most: float
    figure: Callable[[Results], float | None]


def _ratio(metric: Metric, other: str, most: float) -> Target:
    text = f"{metric[0]}: {metric[1]}, times {other}"
    return Target(text, most, lambda results: results.ratio(metric, ZMQIO, other))


TARGETS = (
    *(_ratio((f"flood, {pace}", "CPU us/message, uninvolved"), SOCKETIO, 0.02) for pace in ("unpaced", "1000/s")),
    *(
        _ratio((f"latency {size}", f"{quantile} us"), other, 1.0)
        for size in ("64 B", "1 KiB")
        for quantile in ("p50", "p99")
        for other in (NODE, SOCKETIO)
    ),
)
