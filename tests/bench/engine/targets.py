"""The targets of zmqio. Pure."""

from tests.bench.engine.results import Metric
from tests.bench.engine.servers import FLOOR, NODE, PLAIN, SOCKETIO, ZMQIO
from tests.bench.engine.tables import Target

__all__ = ["TARGETS"]

HOLD = "loop hold, 10000 members"
CPU_64: Metric = ("fan-out 64 B", "CPU us/delivery")


def _ratio(text: str, metric: Metric, server: str, other: str, most: float) -> Target:
    return Target(f"{text}, times {other}", most, lambda results: results.ratio(metric, server, other))


def _value(text: str, metric: Metric, most: float) -> Target:
    return Target(text, most, lambda results: results.median(metric, ZMQIO))


TARGETS = (
    _ratio("fan-out 64 B, CPU", CPU_64, ZMQIO, FLOOR, 1.35),
    _ratio("fan-out 64 B, CPU", CPU_64, ZMQIO, NODE, 0.75),
    _ratio("fan-out 64 B, CPU", CPU_64, ZMQIO, SOCKETIO, 0.2),
    _ratio("fan-out 64 B on plain ASGI, CPU", CPU_64, PLAIN, NODE, 1.3),
    _ratio("polled delivery, CPU", ("polled delivery 64 B", "CPU us/delivery"), ZMQIO, NODE, 1.0),
    _value("idle WebSocket connection, KB", ("idle memory", "websocket KB"), 24),
    _value("idle polling session, KB", ("idle memory", "polling KB"), 20),
    _ratio("connect and join, CPU", ("connect and join", "CPU us/connection"), ZMQIO, SOCKETIO, 0.7),
    _ratio("connect and join, CPU (aim)", ("connect and join", "CPU us/connection"), ZMQIO, NODE, 1.0),
    _value("loop held by one broadcast, wall ms", (HOLD, "longest, median ms"), 10),
    _value("loop held by one broadcast, worst CPU ms", (HOLD, "most CPU, worst ms"), 10),
    _ratio("paced latency p50", ("paced 20/s to 500", "p50 us"), ZMQIO, NODE, 1.0),
    _ratio("paced latency p99", ("paced 20/s to 500", "p99 us"), ZMQIO, NODE, 1.0),
)
