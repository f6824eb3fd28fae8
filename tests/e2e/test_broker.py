"""The broker as a process: starting, stopping, ports in use, pauses, crashes."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from tests.support.broker import BrokerProcess
from tests.support.broker_peers import Load, barrier, connected
from tests.support.timing import LIMIT_S

# Over the broker's heartbeat timeout of 15 s, so that connections time out on both sides.
LONG_PAUSE_S = 16.5


@pytest.fixture
def process() -> Iterator[BrokerProcess]:
    with BrokerProcess() as started:
        yield started


def events(process: BrokerProcess) -> list[dict[str, object]]:
    return [json.loads(line) for line in process.lines]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_it_with_exit_code_0_and_the_counts(process: BrokerProcess, number: signal.Signals) -> None:
    assert process.stop(number) == 0
    # A broker that is slow at its start rejects the first hello of `BrokerProcess`, which was given up.
    started, stopped = [line for line in events(process) if line["event"] != "peers_rejected"]
    assert started["event"] == "broker_started"
    assert started["control"] == process.address
    assert stopped["event"] == "broker_stopped"
    assert stopped["cause"] == number.name
    assert stopped["frames_in"] == 0


def test_a_second_sigint_does_not_break_the_stop(process: BrokerProcess) -> None:
    with Load(process):
        for _ in range(20):
            process.send_signal(signal.SIGINT)
        assert process.stop(signal.SIGINT) == 0
    assert not any("Traceback" in line for line in process.lines)
    assert events(process)[-1]["event"] == "broker_stopped"


def test_stops_under_load_with_a_node_that_does_not_read(process: BrokerProcess) -> None:
    with zmq.Context() as context, connected(context, zmq.SUB, process.endpoint("subscribe")) as stuck:
        stuck.subscribe(b"load")
        barrier(stuck)
        with Load(process):
            stuck.recv()
            assert process.stop() == 0
    stopped = events(process)[-1]
    assert stopped["event"] == "broker_stopped"
    assert int(str(stopped["frames_in"])) > 0


@pytest.mark.parametrize("below", range(4))
def test_port_in_use_is_reported_in_one_line_with_exit_code_1(process: BrokerProcess, below: int) -> None:
    taken = process.hello["ports"]["control"]
    command = [sys.executable, "-m", "zmqio_broker", "--bind", f"tcp://127.0.0.1:{taken - below}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert result.returncode == 1
    (line,) = (result.stdout + result.stderr).splitlines()
    assert re.search(r"port (\d+) for the \w+ endpoint \(tcp://127.0.0.1:\1\) is in use", line)
    assert "--bind" in line


def test_restart_on_the_same_address_has_another_epoch(process: BrokerProcess) -> None:
    before = process.epoch
    process.restart()
    assert process.epoch != before


def test_ipc_gives_four_paths_and_removes_them(tmp_path: Path) -> None:
    with BrokerProcess(address=f"ipc://{tmp_path / 'b'}") as process, zmq.Context() as context:
        assert {path.name for path in tmp_path.iterdir()} == {"b", "b.publish", "b.subscribe", "b.ingest"}
        with connected(context, zmq.SUB, process.endpoint("subscribe")) as subscriber:
            assert barrier(subscriber) == process.epoch
    assert list(tmp_path.iterdir()) == []


def test_ipc_paths_left_by_a_crash_are_replaced(tmp_path: Path) -> None:
    with BrokerProcess(address=f"ipc://{tmp_path / 'b'}") as process:
        process.restart()


def test_second_broker_does_not_take_the_paths_of_a_running_one(tmp_path: Path) -> None:
    with BrokerProcess(address=f"ipc://{tmp_path / 'b'}") as process:
        command = [sys.executable, "-m", "zmqio_broker", "--bind", process.address]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
        assert result.returncode == 1
        assert "in use" in result.stderr
        assert process.statistics()["epoch"] == process.hello["epoch"]
        assert len(list(tmp_path.iterdir())) == 4


def test_resumed_broker_continues_under_load(process: BrokerProcess) -> None:
    with zmq.Context() as context, connected(context, zmq.SUB, process.endpoint("subscribe")) as subscriber:
        barrier(subscriber)
        with Load(process, publishers=3, senders=2):
            for pause_s in (1.0, LONG_PAUSE_S):
                process.pause()
                for number in range(5_000):
                    subscriber.subscribe(b"room %d" % number)
                time.sleep(pause_s)
                process.resume()
                assert barrier(subscriber) == process.epoch
        assert process.returncode is None
        assert process.statistics()["epoch"] == process.hello["epoch"]


def test_stopped_node_does_not_stall_others() -> None:
    """With XPUB_NODROP, the broker would stop forwarding at the first full queue."""
    # Far more than the queue and the buffers of the kernel hold; in steps that the reader's own queue takes.
    steps, messages_a_step, message_bytes = 200, 50, 10_000
    with (
        BrokerProcess("--node-queue-messages", "100") as process,
        zmq.Context() as context,
        connected(context, zmq.XPUB, process.endpoint("publish")) as publisher,
        connected(context, zmq.SUB, process.endpoint("subscribe")) as reader,
        context.socket(zmq.SUB) as stopped,
    ):
        stopped.setsockopt(zmq.RCVHWM, 1)
        stopped.connect(process.endpoint("subscribe"))
        for subscriber in (stopped, reader):
            subscriber.subscribe(b"t")
            barrier(subscriber)
        assert publisher.recv() == b"\x01"
        for step in range(steps):
            for _ in range(messages_a_step):
                publisher.send(b"t%08d" % step + bytes(message_bytes))
            assert {reader.recv()[:9] for _ in range(messages_a_step)} == {b"t%08d" % step}


def test_statistics_are_logged_if_enabled_and_changed() -> None:
    with BrokerProcess("--stats-interval", "0.1") as process, zmq.Context() as context:
        with connected(context, zmq.PUSH, process.endpoint("ingest")) as sender:
            sender.send(b"zmqio/n//\0{}")
            line = json.loads(process.wait_for_line("statistics_reported"))
        assert line["level"] == "info"


def test_subscriptions_are_logged_at_debug_only() -> None:
    with BrokerProcess("--log-level", "debug") as told, BrokerProcess() as quiet, zmq.Context() as context:
        for process in (told, quiet):
            with connected(context, zmq.SUB, process.endpoint("subscribe")) as subscriber:
                subscriber.subscribe(b"zmqio/r/room")
                barrier(subscriber)
        told.wait_for_line("subscription_added")
    assert not any("room" in line for line in quiet.lines)
