"""Tests of `zmqio.emitter.sync_emitter`, over real sockets to a small broker in this process."""

import gc
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import zmq
from structlog.testing import capture_logs

from tests.support.loopback_broker import LoopbackBroker, running_broker
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S
from zmqio.emitter import Emitter
from zmqio.exceptions import (
    BusUnavailableError,
    ConfigError,
    MessageTooLargeError,
    PacketError,
    RequestTimeoutError,
    TopicError,
)
from zmqio.protocol.publish import PublishRequest, decode_request
from zmqio.protocol.topic import split

SHORT_S = 0.1
"""A time-out that is expected to expire."""


def requests(broker: LoopbackBroker) -> list[PublishRequest]:
    """The requests received by the broker's ingest."""
    return [decode_request(split(frame)[1]) for frame in broker.pushed]


def wait_for_requests(broker: LoopbackBroker, count: int) -> list[PublishRequest]:
    ends_at = time.monotonic() + LIMIT_S
    while len(broker.pushed) < count:
        assert time.monotonic() < ends_at, f"{len(broker.pushed)} of {count} requests arrived"
        time.sleep(0.01)
    return requests(broker)


def nowhere() -> str:
    """An address without a listener."""
    return f"tcp://127.0.0.1:{free_port_block(4)}"


@contextmanager
def ingest_alone() -> Iterator[str]:
    """The address of a broker that has only an ingest endpoint."""
    base = free_port_block(4)
    with zmq.Context() as context, context.socket(zmq.PULL) as ingest:
        ingest.bind(f"tcp://127.0.0.1:{base + 3}")
        yield f"tcp://127.0.0.1:{base}"


def test_requests_emitted_before_close_arrive_in_order() -> None:
    with running_broker() as broker:
        with Emitter(broker.address) as emitter:
            for number in range(500):
                emitter.to("lobby").emit("news", number)
        received = wait_for_requests(broker, 500)
    assert [request.args for request in received] == [(number,) for number in range(500)]
    assert [request.n for request in received] == list(range(1, 501))
    assert {request.source for request in received} == {emitter.source}


def test_emitter_itself_is_an_operator() -> None:
    with running_broker() as broker:
        with Emitter(broker.address, namespace="/chat", prefix="mine") as emitter:
            emitter.emit("all")
            emitter.except_("x").volatile.emit("some")
            emitter.of("/other").to("a").sockets_join("b")
            emitter.to("a").disconnect_sockets(close=True)
        wait_for_requests(broker, 4)
        topics = [split(frame)[0] for frame in broker.pushed]
    assert topics == [
        b"mine/n//chat\0",
        b"mine/n//chat\0",
        b"mine/r//other\0a\0",
        b"mine/r//chat\0a\0",
    ]


def test_missing_broker_is_an_error_with_address_and_time_out() -> None:
    address = nowhere()
    with Emitter(address, send_timeout_s=SHORT_S) as emitter, pytest.raises(BusUnavailableError) as caught:
        emitter.emit("news")
    assert address in str(caught.value)
    assert "0.1 s" in str(caught.value)


def test_emitter_works_once_the_broker_has_started() -> None:
    broker = LoopbackBroker(free_port_block(4))
    with Emitter(broker.address, send_timeout_s=SHORT_S) as emitter:
        with pytest.raises(BusUnavailableError):
            emitter.emit("rejected")
        broker.start()
        try:
            emit_until_accepted(emitter, "accepted")
            assert [request.event for request in wait_for_requests(broker, 1)] == ["accepted"]
        finally:
            broker.stop()


def emit_until_accepted(emitter: Emitter, event: str) -> None:
    """Emit once, as soon as the emitter is connected."""
    ends_at = time.monotonic() + LIMIT_S
    while True:
        try:
            return emitter.emit(event)
        except BusUnavailableError:
            assert time.monotonic() < ends_at


def test_thread_that_waits_for_another_thread_times_out() -> None:
    failures: list[BaseException] = []

    def emit() -> None:
        try:
            emitter.emit("news")
        except BusUnavailableError as error:
            failures.append(error)

    with Emitter(nowhere(), send_timeout_s=SHORT_S) as emitter:
        threads = [threading.Thread(target=emit) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
    assert len(failures) == 8


def test_threads_share_an_emitter_and_requests_are_numbered_in_sending_order() -> None:
    def emit_many(name: int) -> None:
        for number in range(200):
            emitter.emit("news", name, number)

    with running_broker() as broker:
        with Emitter(broker.address) as emitter:
            threads = [threading.Thread(target=emit_many, args=(name,)) for name in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(LIMIT_S)
        received = wait_for_requests(broker, 800)
    assert [request.n for request in received] == list(range(1, 801))
    for name in range(4):
        assert [request.args[1] for request in received if request.args[0] == name] == list(range(200))


def test_forked_child_has_its_own_connection_and_source() -> None:
    with running_broker() as broker, Emitter(broker.address) as emitter:
        emitter.emit("parent")
        pid = os.fork()
        if pid == 0:
            # No assertions here: a failing child would run the rest of the test session a second time.
            try:
                emitter.emit("child")
                emitter.flush(LIMIT_S)
                os._exit(0)
            except BaseException:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        emitter.emit("parent")
        emitter.flush(LIMIT_S)
        received = requests(broker)
    assert sorted(request.event or "" for request in received) == ["child", "parent", "parent"]
    sources = {request.event: request.source for request in received}
    assert sources["child"] != sources["parent"]


def test_flush_returns_when_the_broker_has_all_requests() -> None:
    with running_broker() as broker, Emitter(broker.address) as emitter:
        for round_ in range(1, 6):
            for _ in range(100):
                emitter.emit("news")
            emitter.flush(LIMIT_S)
            assert len(requests(broker)) == 100 * round_


def test_concurrent_flushes_all_return() -> None:
    done: list[int] = []

    def flush() -> None:
        emitter.flush(LIMIT_S)
        done.append(1)

    with running_broker() as broker, Emitter(broker.address) as emitter:
        threads = [threading.Thread(target=flush) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
    assert len(done) == 4


def test_flush_without_a_broker_is_an_error() -> None:
    with Emitter(nowhere(), send_timeout_s=SHORT_S) as emitter, pytest.raises(BusUnavailableError):
        emitter.flush()


def test_flush_without_a_response_is_an_error() -> None:
    with (
        ingest_alone() as address,
        Emitter(address, send_timeout_s=LIMIT_S) as emitter,
        pytest.raises(RequestTimeoutError, match=address),
    ):
        emitter.flush(SHORT_S)


def test_each_of_two_brokers_gets_every_request_with_the_same_id() -> None:
    with running_broker() as first, running_broker() as second:
        with Emitter(f"{first.address},{second.address}") as emitter:
            emitter.flush(LIMIT_S)  # one is connected; the other soon will be
            ends_at = time.monotonic() + LIMIT_S
            while not (first.flushed and second.flushed):
                assert time.monotonic() < ends_at
                emitter.flush(LIMIT_S)
            emitter.emit("news")
        for broker in (first, second):
            while not requests(broker):
                assert time.monotonic() < ends_at
                time.sleep(0.01)
        assert requests(first) == requests(second)
        assert requests(first)[0].id


def test_closed_emitter_reconnects_on_the_next_emit() -> None:
    with running_broker() as broker:
        emitter = Emitter(broker.address)
        emitter.close()
        emitter.emit("news")
        emitter.flush(LIMIT_S)
        emitter.close()
        emitter.close()
        emitter.emit("again")
        emitter.close()
        assert [request.event for request in wait_for_requests(broker, 2)] == ["news", "again"]


def test_collected_emitter_sends_its_queued_requests() -> None:
    with running_broker() as broker:
        Emitter(broker.address).to("lobby").emit("news")
        gc.collect()
        assert [request.event for request in wait_for_requests(broker, 1)] == ["news"]


def test_operator_keeps_the_connection_of_its_emitter_open() -> None:
    with running_broker() as broker:
        lobby = Emitter(broker.address).to("lobby")
        gc.collect()
        lobby.emit("news")
        assert wait_for_requests(broker, 1)[0].rooms == ("lobby",)
        del lobby
        gc.collect()


async def test_emit_inside_an_event_loop_works_and_warns_once() -> None:
    with running_broker() as broker, Emitter(broker.address) as emitter:
        with capture_logs() as lines:
            emitter.emit("news")
            emitter.emit("news")
        assert [line["event"] for line in lines] == ["emitter_blocked_event_loop"]
        assert lines[0]["log_level"] == "warning"


def test_emit_outside_an_event_loop_logs_nothing() -> None:
    with running_broker() as broker, Emitter(broker.address) as emitter, capture_logs() as lines:
        emitter.emit("news")
        emitter.flush(LIMIT_S)
    assert lines == []


def test_invalid_requests_are_errors_even_without_a_broker() -> None:
    with Emitter(nowhere(), max_message_bytes=1_000) as emitter:
        with pytest.raises(PacketError):
            emitter.emit("news", object())
        with pytest.raises(TopicError):
            emitter.to("a\0b")
        with pytest.raises(MessageTooLargeError):
            emitter.emit("news", b"x" * 1_000)


@pytest.mark.parametrize("address", ["", "http://127.0.0.1", "tcp://127.0.0.1"])
def test_invalid_address_is_rejected_at_once(address: str) -> None:
    with pytest.raises(ConfigError):
        Emitter(address)


def test_invalid_options_are_rejected_at_once() -> None:
    with pytest.raises(ConfigError):
        Emitter(prefix="a/b")
    with pytest.raises(ConfigError):
        Emitter(max_message_bytes=0)
    with pytest.raises(PacketError):
        Emitter(namespace="chat")
