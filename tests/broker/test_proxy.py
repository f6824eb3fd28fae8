from collections.abc import Iterator

import pytest
import zmq
from zmqio_broker import proxy
from zmqio_broker.proxy import ProxyCounts, ProxyMeter, proxy_thread

from tests.support.timing import LIMIT_S


@pytest.fixture
def path() -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes], ProxyMeter]]:
    """A publisher, a proxy and a subscriber of everything, and the proxy's meter."""
    with zmq.Context() as context:
        frontend, backend = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
        frontend.bind("inproc://publish")
        backend.bind("inproc://subscribe")
        thread, meter = proxy_thread("data", frontend, backend)
        with context.socket(zmq.XPUB) as publisher, context.socket(zmq.SUB) as subscriber, meter.socket:
            publisher.connect("inproc://publish")
            subscriber.connect("inproc://subscribe")
            subscriber.setsockopt(zmq.RCVTIMEO, int(LIMIT_S * 1000))
            subscriber.subscribe(b"")
            thread.start()
            assert publisher.recv() == b"\x01"
            yield publisher, subscriber, meter
        context.term()
        assert thread.join(LIMIT_S)
        assert thread.failure is None


def test_messages_are_forwarded_with_all_their_frames(
    path: tuple[zmq.Socket[bytes], zmq.Socket[bytes], ProxyMeter],
) -> None:
    publisher, subscriber, _ = path
    publisher.send_multipart([b"topic", b"", b"\x00\xff body"])
    assert subscriber.recv_multipart() == [b"topic", b"", b"\x00\xff body"]


def test_meter_counts_frames_bytes_and_subscriptions(
    path: tuple[zmq.Socket[bytes], zmq.Socket[bytes], ProxyMeter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "_STATISTICS_TIMEOUT_MS", LIMIT_S * 1_000)  # otherwise a slow answer is not awaited
    publisher, subscriber, meter = path
    for _ in range(3):
        publisher.send_multipart([b"topic", b"body"])
        subscriber.recv_multipart()
    assert meter.read() == ProxyCounts(6, 27, 6, 27, 1)


def test_meter_repeats_the_last_counts_if_the_proxy_does_not_answer() -> None:
    with zmq.Context() as context, context.socket(zmq.PAIR) as silent:
        silent.bind("inproc://meter")
        meter = ProxyMeter(context, "inproc://meter")
        with meter.socket:
            assert meter.read() == ProxyCounts()
