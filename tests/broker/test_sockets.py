from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from zmqio_broker import sockets
from zmqio_broker.options import BrokerOptions

from tests.support.ports import free_port
from tests.support.timing import LIMIT_S

Context = zmq.Context[zmq.Socket[bytes]]
OPTIONS = BrokerOptions(node_queue_messages=11, ingest_queue_messages=22, max_message_bytes=33)


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context() as made:
        yield made


def settings(socket: zmq.Socket[bytes]) -> dict[str, int]:
    names = ("SNDHWM", "RCVHWM", "MAXMSGSIZE", "LINGER", "HEARTBEAT_IVL", "HEARTBEAT_TIMEOUT")
    with socket:
        return {name: int(socket.getsockopt(getattr(zmq, name))) for name in names}


ALWAYS = {"LINGER": 0, "HEARTBEAT_IVL": 5000, "HEARTBEAT_TIMEOUT": 15000}


def test_publish_endpoint_limits_subscriptions_but_not_messages(context: Context) -> None:
    made = settings(sockets.make_publish(context, OPTIONS))
    assert made == {"SNDHWM": 1_000, "RCVHWM": 0, "MAXMSGSIZE": 33, **ALWAYS}


def test_publishers_inside_receive_every_subscription_or_none(context: Context) -> None:
    with sockets.make_publish(context, OPTIONS) as publish:
        publish.bind(sockets.INPROC_ADDRESS)
        with (
            sockets.connect_acknowledger(context) as acknowledger,
            sockets.connect_inproc_publisher(context) as push,
        ):
            publish.getsockopt(zmq.EVENTS)
            for number in range(5_000):
                publish.send(b"\x01%d" % number)
            assert [acknowledger.recv() for _ in range(5_000)][-1] == b"\x014999"
            push.send(b"from ingest")
            assert publish.recv() == b"from ingest"
            acknowledger.send(b"acknowledgement")
            assert publish.recv() == b"acknowledgement"


def test_subscribe_endpoint_limits_the_queue_of_each_node_and_the_length_of_a_topic(context: Context) -> None:
    made = settings(sockets.make_subscribe(context, OPTIONS))
    assert made == {"SNDHWM": 11, "RCVHWM": 0, "MAXMSGSIZE": 4_096, **ALWAYS}


def test_ingest_endpoint_limits_the_queue_of_each_sender(context: Context) -> None:
    made = settings(sockets.make_ingest(context, OPTIONS))
    assert (made["RCVHWM"], made["MAXMSGSIZE"]) == (22, 33)
    assert made.items() >= ALWAYS.items()


def test_control_endpoint_limits_queues_and_request_sizes(context: Context) -> None:
    made = settings(sockets.make_control(context))
    assert (made["RCVHWM"], made["SNDHWM"], made["MAXMSGSIZE"]) == (1000, 1000, 65536)
    assert made.items() >= ALWAYS.items()


def test_full_queue_of_one_subscriber_drops_messages_and_delays_no_other(context: Context) -> None:
    with sockets.make_subscribe(context, OPTIONS) as publisher, context.socket(zmq.SUB) as suspended:
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        suspended.setsockopt(zmq.RCVHWM, 1)
        suspended.subscribe(b"")
        suspended.connect(f"tcp://127.0.0.1:{port}")
        assert publisher.recv() == b"\x01"
        for _ in range(20_000):
            publisher.send(bytes(1000), zmq.NOBLOCK)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_wildcard_address_accepts_both_versions_of_ip(context: Context, host: str) -> None:
    port = free_port()
    with sockets.make_subscribe(context, OPTIONS) as publisher, context.socket(zmq.SUB) as subscriber:
        sockets.bind(publisher, "subscribe", f"tcp://*:{port}")
        subscriber.setsockopt(zmq.IPV6, 1)
        subscriber.subscribe(b"x")
        subscriber.connect(f"tcp://{host}:{port}")
        assert publisher.poll(LIMIT_S * 1000)
        assert publisher.recv() == b"\x01x"


def test_port_in_use_is_reported_with_number_role_and_option(context: Context) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    with context.socket(zmq.PULL) as first, context.socket(zmq.PULL) as second:
        sockets.bind(first, "ingest", address)
        with pytest.raises(sockets.BindError, match=r"port \d+ for the ingest endpoint .* in use.*--bind"):
            sockets.bind(second, "ingest", address)


def test_path_of_a_running_broker_is_not_taken_over(context: Context, tmp_path: Path) -> None:
    address = f"ipc://{tmp_path / 'b'}"
    with context.socket(zmq.PULL) as first, context.socket(zmq.PULL) as second:
        sockets.bind(first, "control", address)
        with pytest.raises(sockets.BindError, match="in use"):
            sockets.bind(second, "control", address)


def test_path_left_behind_by_a_crash_is_taken_over(context: Context, tmp_path: Path) -> None:
    address = f"ipc://{tmp_path / 'b'}"
    with zmq.Context() as crashed, crashed.socket(zmq.PULL) as first:
        first.bind(address)
    assert (tmp_path / "b").exists(), "libzmq now removes its paths: drop remove_paths"
    with context.socket(zmq.PULL) as second:
        sockets.bind(second, "control", address)


def test_address_of_no_interface_is_reported_with_the_option(context: Context) -> None:
    with context.socket(zmq.PULL) as socket, pytest.raises(sockets.BindError, match="--bind"):
        sockets.bind(socket, "publish", f"tcp://192.0.2.1:{free_port()}")


def test_paths_are_removed_and_missing_ones_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    sockets.remove_paths([f"ipc://{tmp_path / 'b'}", f"ipc://{tmp_path / 'missing'}", "tcp://127.0.0.1:1"])
    assert list(tmp_path.iterdir()) == []


def test_only_an_empty_folder_of_an_ipc_endpoint_is_removed(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    address = f"ipc://{folder}/bus"
    (folder / "other").touch()
    sockets.remove_folder(address)
    assert folder.exists()
    (folder / "other").unlink()
    sockets.remove_folder(address)
    assert not folder.exists()
    sockets.remove_folder(address)
    sockets.remove_folder("tcp://127.0.0.1:5555")
