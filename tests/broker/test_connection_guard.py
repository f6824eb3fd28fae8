import zmq
from structlog.testing import capture_logs
from zmqio_broker.connection_guard import MAX_INPUT_BYTES, TOPIC_SHARES, ConnectionGuard, Progress
from zmqio_broker.connection_samples import ConnectionSample
from zmqio_broker.options import BrokerOptions
from zmqio_broker.peers import PeerCounts

NOTHING = Progress(0, 0)
IDLE = {"publish": NOTHING, "ingest": NOTHING, "control": NOTHING}


class Harness:
    def __init__(self) -> None:
        self.samples: dict[int, ConnectionSample] = {}
        self.closed: list[int] = []
        self.counts = {role: PeerCounts() for role in ("publish", "subscribe", "ingest", "control")}
        options = BrokerOptions(node_queue_bytes=1_000, subscription_bytes=1_000)
        self.guard = ConnectionGuard(options, self.counts, self.samples.get, self.closed.append)

    def connect(self, role: str, descriptor: int, sample: ConnectionSample) -> None:
        self.counts[role].feed(zmq.EVENT_ACCEPTED, descriptor)
        self.samples[descriptor] = sample


def test_connections_within_the_limits_and_without_samples_stay() -> None:
    harness = Harness()
    for number, role in enumerate(harness.counts):
        harness.connect(role, number, ConnectionSample(1_000, 1_000, 0))
        harness.counts[role].feed(zmq.EVENT_ACCEPTED, number + 100)  # an ipc connection
    harness.guard.check(1.0, Progress(1 << 40, 10), IDLE, 0)
    assert (harness.closed, harness.guard.closed) == ([], 0)


def test_node_that_does_not_read_is_closed_and_logged_with_the_option() -> None:
    harness = Harness()
    harness.connect("subscribe", 7, ConnectionSample(0, 0, 1))
    harness.guard.check(1.0, NOTHING, IDLE, 0)
    with capture_logs() as logged:
        for step in range(1, 4):  # libzmq closes it a little later
            harness.guard.check(1.0 + step, Progress(2_000 * step, step), IDLE, 0)
    assert harness.closed == [7]
    (line,) = logged
    assert (line["event"], line["endpoint"], line["limit"]) == ("connection_closed", "subscribe", 1_000)
    assert line["option"] == "--node-queue-bytes"


def test_endless_input_of_every_endpoint_is_closed() -> None:
    harness = Harness()
    for descriptor, role in enumerate(("publish", "ingest", "control")):
        harness.connect(role, descriptor, ConnectionSample(2 * MAX_INPUT_BYTES, 0, 0))
    with capture_logs() as logged:
        harness.guard.check(1.0, NOTHING, IDLE, 0)
    assert sorted(harness.closed) == [0, 1, 2]
    assert harness.guard.closed == 3
    assert not any("option" in line for line in logged)


def test_topics_of_all_nodes_are_limited_and_the_log_names_the_option() -> None:
    harness = Harness()
    harness.connect("subscribe", 3, ConnectionSample(500, 0, 0))
    harness.connect("subscribe", 4, ConnectionSample(600, 0, 0))
    with capture_logs() as logged:
        harness.guard.check(1.0, NOTHING, IDLE, TOPIC_SHARES * 1_000)
        harness.guard.check(2.0, NOTHING, IDLE, TOPIC_SHARES * 1_000 + 1)
    assert harness.closed == [4]
    (line,) = logged
    assert (line["option"], line["limit"]) == ("--subscription-bytes", TOPIC_SHARES * 1_000)
