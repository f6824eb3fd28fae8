from collections.abc import Iterator

import pytest
import zmq
from zmqio_broker import proxy
from zmqio_broker.broker import SUBSCRIBERS_FIRST_S, Broker
from zmqio_broker.endpoints import AddressError
from zmqio_broker.options import BrokerOptions
from zmqio_broker.sockets import BindError

from tests.support.broker import ask_control
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker(BrokerOptions(bind=f"tcp://127.0.0.1:{free_port_block(4)}"))
    yield made
    assert made.stop()


def test_subscribers_can_connect_before_publishers(broker: Broker) -> None:
    open_before_publish = {}

    def check(seconds: float) -> None:
        assert seconds == SUBSCRIBERS_FIRST_S
        open_before_publish.update(
            {role: is_open(address) for role, address in broker.endpoints.by_role().items()}
        )

    broker.start(wait=check)
    assert open_before_publish == {"control": True, "publish": False, "subscribe": True, "ingest": False}
    assert all(is_open(address) for address in broker.endpoints.by_role().values())


def test_hello_contains_ports_and_no_hosts(broker: Broker) -> None:
    broker.start()
    hello = ask_control(broker.endpoints.control, {"op": "hello", "version": 1})
    assert hello is not None
    assert hello["epoch"] == broker.epoch.hex()
    assert list(hello["ports"]) == ["control", "publish", "subscribe", "ingest"]
    assert "127.0.0.1" not in repr(hello)


def test_statistics_count_ingest_messages(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "_STATISTICS_TIMEOUT_MS", LIMIT_S * 1_000)  # otherwise a slow answer is not awaited
    broker.start()
    with zmq.Context() as context, context.socket(zmq.PUSH) as sender, context.socket(zmq.SUB) as subscriber:
        subscriber.connect(broker.endpoints.subscribe)
        subscriber.setsockopt(zmq.RCVTIMEO, int(LIMIT_S * 1000))
        topic = b"\xffsync-" + bytes(16)
        for subscribed in (b"a/n/", topic):
            subscriber.subscribe(subscribed)
        assert subscriber.recv() == topic + broker.epoch
        sender.connect(broker.endpoints.ingest)
        sender.send(b"a/n//\0{}")
        assert subscriber.recv() == b"a/n//\0{}"
    statistics = broker.statistics()
    assert (statistics["ingest_frames"], statistics["ingest_bytes"]) == (1, 8)
    assert (statistics["frames_in"], statistics["sync_acks"], statistics["subscription_changes"] >= 2) == (
        2,
        1,
        True,
    )


def test_broker_that_has_not_started_has_no_statistics(broker: Broker) -> None:
    assert broker.statistics() == {}


def test_every_run_has_its_own_epoch(broker: Broker) -> None:
    second = Broker(broker.options)
    assert second.stop()
    assert second.epoch != broker.epoch


def test_port_in_use_leaves_no_endpoint_open() -> None:
    base = free_port_block(7)
    first = Broker(BrokerOptions(bind=f"tcp://127.0.0.1:{base + 3}"))
    first.start()
    second = Broker(BrokerOptions(bind=f"tcp://127.0.0.1:{base}"))
    with pytest.raises(BindError, match=f"port {base + 3} for the ingest endpoint"):
        second.start(wait=lambda seconds: None)
    assert not is_open(second.endpoints.control)
    assert first.stop()


def test_invalid_address_is_rejected() -> None:
    with pytest.raises(AddressError):
        Broker(BrokerOptions(bind="nowhere"))


def is_open(address: str) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0
