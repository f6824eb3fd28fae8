"""Publishers without zmqio: PUSH to the ingest endpoint of a real broker, and the messages that it forwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import BrokerProcess
from tests.support.keys import KeyFolder
from tests.support.ports import free_port
from tests.support.senders import FOREIGN_SENDERS, make_sender
from tests.support.subscriber import tap
from zmqio.protocol.publish import PublishRequest, decode_request
from zmqio.protocol.topic import covers, split


@pytest.fixture(scope="module")
def ingest_broker() -> Iterator[BrokerProcess]:
    with BrokerProcess() as process:
        yield process


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    return KeyFolder(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def broker_with_keys(keys: KeyFolder) -> Iterator[BrokerProcess]:
    with BrokerProcess(keys=keys) as process:
        yield process


@pytest.mark.parametrize("name", FOREIGN_SENDERS)
def test_json_and_msgpack_of_a_foreign_sender_are_forwarded(
    name: str, ingest_broker: BrokerProcess, tmp_path: Path
) -> None:
    sender = make_sender(name, tmp_path)
    with tap(ingest_broker.endpoint("subscribe"), b"zmqio/") as nodes:
        done = sender.run_until_sent(ingest_broker.endpoint("ingest"))
        assert (done.returncode, done.stderr) == (0, "")
        expect_both(FOREIGN_SENDERS[name], nodes.take(2))


@pytest.mark.parametrize("name", FOREIGN_SENDERS)
def test_foreign_sender_with_keys_publishes(
    name: str, broker_with_keys: BrokerProcess, keys: KeyFolder, tmp_path: Path
) -> None:
    sender, ingest = make_sender(name, tmp_path), broker_with_keys.endpoint("ingest")
    with tap(broker_with_keys.endpoint("subscribe"), b"zmqio/", keys.node.load(1)[0]) as nodes:
        done = sender.run_until_sent(ingest, keys.folder / "broker.key", keys.sender.secret_file)
        assert (done.returncode, done.stderr) == (0, "")
        expect_both(FOREIGN_SENDERS[name], nodes.take(2))


def test_foreign_sender_without_keys_is_an_error(broker_with_keys: BrokerProcess, tmp_path: Path) -> None:
    done = make_sender("pyzmq", tmp_path).run(broker_with_keys.endpoint("ingest"))
    assert done.returncode == 1
    assert "zmq.error.Again" in done.stderr


def expect_both(language: str, frames: list[bytes]) -> None:
    """Check the two messages of a foreign sender."""
    as_json, as_msgpack = (split(frame) for frame in frames)
    assert as_json[0] == b"zmqio/n//\0"
    assert as_json[1].startswith(b"{")
    to_all = decode_request(as_json[1])
    assert to_all == PublishRequest(event="news", args=(f"JSON from {language}",), id=to_all.id)
    assert as_msgpack[0] == b"zmqio/r//\0lobby\0"
    to_lobby = decode_request(as_msgpack[1])
    expected = (f"msgpack from {language}", b"\0\1\xff")
    assert to_lobby == PublishRequest(event="news", args=expected, rooms=("lobby",), id=to_lobby.id)
    assert covers(as_json[0], "/", to_all.rooms or ())
    assert covers(as_msgpack[0], "/", to_lobby.rooms)


@pytest.mark.parametrize("name", [*FOREIGN_SENDERS, "emitter"])
def test_a_missing_broker_is_an_error_to_every_sender(name: str, tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    done = make_sender(name, tmp_path).run(address)
    assert done.returncode == 1
    assert (address if name != "pyzmq" else "zmq.error.Again") in done.stderr
