"""The targets of zmqio. Pure."""

from tests.bench.cluster_peers.peers import NODE, SOCKETIO, ZMQIO
from tests.bench.engine.results import Metric
from tests.bench.engine.tables import Target

__all__ = ["TARGETS"]


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
    _ratio(("latency 64 B", "CPU us, nodes and hub"), NODE, 0.7),
    *(_ratio((f"flood, {pace}", "CPU us/message, hub"), NODE, 0.58) for pace in ("unpaced", "1000/s")),
)
