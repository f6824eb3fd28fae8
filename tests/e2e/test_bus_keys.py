"""Keys on a real broker: who may connect, what is said on both sides, and what a recorder of the wire can read."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from tests.support.broker import BrokerProcess, ask_control
from tests.support.broker_peers import barrier
from tests.support.keys import KeyFolder
from tests.support.relay import Relay
from tests.support.timing import LIMIT_S, wait_until
from tests.support.zmtp_connections import connected
from zmqio import AsyncEmitter, BusUnavailableError, ConfigError, Curve, Emitter, Server, ZmqAdapter
from zmqio.protocol.mechanism import NullMechanism, SocketType
from zmqio.zeromq.socket_options import set_connect_options


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    return KeyFolder(tmp_path_factory.mktemp("keys"), prefixes="shop")


@pytest.fixture(scope="module")
def broker(keys: KeyFolder) -> Iterator[BrokerProcess]:
    with BrokerProcess(keys=keys) as process:
        yield process


def logged(broker: BrokerProcess, *words: str) -> bool:
    """Whether one of the broker's log lines has all of these words."""
    return any(all(word in line for word in words) for line in broker.lines)


def unlisted(keys: KeyFolder, folder: Path) -> Curve:
    """A key that the broker does not know."""
    return Curve(keys.server_key, KeyFolder(folder / "unlisted").node.secret_file)


async def refusal(endpoint: str, curve: Curve | None, kind: SocketType = SocketType.SUB) -> str:
    """Why a node's connection to an endpoint is refused."""
    mechanism = NullMechanism if curve is None else curve.load(1)[0].mechanism()
    with connected(endpoint, kind, mechanism) as (connection, record):
        await wait_until(lambda: record.changes, "an answer")
        assert not connection.is_up
        return record.reasons[0]


@contextlib.contextmanager
def key_socket(broker: BrokerProcess, curve: Curve | None, kind: int, role: str) -> Iterator[zmq.Socket[bytes]]:
    """A libzmq socket at one endpoint, with keys or without."""
    with zmq.Context() as context, context.socket(kind) as socket:
        set_connect_options(socket, broker.endpoint(role), curve.load(1)[0] if curve else None)
        socket.setsockopt(zmq.RCVTIMEO, int(LIMIT_S * 1000))
        socket.setsockopt(zmq.LINGER, int(LIMIT_S * 1000))
        socket.connect(broker.endpoint(role))
        yield socket


async def test_node_without_keys_is_refused_and_told_what_to_do(broker):
    assert "requires keys (CURVE), and this process has none" in await refusal(broker.endpoint("subscribe"), None)


async def test_unlisted_key_is_refused_and_named_on_both_sides(broker, keys, tmp_path):
    curve = unlisted(keys, tmp_path)
    public = curve.load(1)[0].public_key
    assert f"public key {public}" in await refusal(broker.endpoint("subscribe"), curve)
    await wait_until(lambda: logged(broker, "key_rejected", public), "the broker's log line")


async def test_node_with_a_wrong_server_key_says_so(broker, keys, tmp_path):
    curve = Curve(KeyFolder(tmp_path / "other").server_key, keys.node.secret_file)
    assert "`server_key`" in await refusal(broker.endpoint("subscribe"), curve)


async def test_node_with_keys_refuses_a_broker_without(keys):
    with BrokerProcess() as plain:
        assert "does not use keys" in await refusal(plain.endpoint("subscribe"), keys.node)


@pytest.mark.parametrize(("role", "kind"), [("publish", SocketType.PUB), ("subscribe", SocketType.SUB)])
async def test_key_of_a_sender_is_refused_where_only_nodes_connect(broker, keys, role, kind):
    assert "does not know the key" in await refusal(broker.endpoint(role), keys.sender, kind)
    await wait_until(lambda: logged(broker, "key_rejected", "may only publish"), "the broker's log line")


def test_emitter_says_why_a_broker_refuses_it(broker, keys, tmp_path):
    for curve, reason in (
        (None, "requires keys"),
        (unlisted(keys, tmp_path), "does not know the key of this process"),
        (Curve(KeyFolder(tmp_path / "o").server_key, keys.sender.secret_file), "`server_key`"),
    ):
        emitter = Emitter(broker.address, curve=curve, send_timeout_s=0.5)
        errors: list[str] = []
        while len(errors) < LIMIT_S and not any(reason in error for error in errors):  # a handshake takes its time
            with pytest.raises(BusUnavailableError) as caught:
                emitter.emit("x")
            errors.append(str(caught.value))
        assert reason in errors[-1]
        emitter.close()


async def test_health_of_a_node_names_the_reason(broker):
    server = Server(adapter=ZmqAdapter(broker.address))
    await server.start()
    try:
        await wait_until(lambda: "requires keys" in str(server.health()), "the reason in its health")
        assert not server.health().ready
    finally:
        await server.close()


def test_sender_reaches_its_own_prefix_and_no_other(broker, keys):
    with key_socket(broker, keys.node, zmq.SUB, "subscribe") as node:
        for topic in (b"shop/", b"zmqio/"):
            node.subscribe(topic)
        barrier(node)
        with Emitter(broker.address, curve=keys.sender) as denied:
            denied.emit("stolen")
            denied.flush(LIMIT_S)
        with Emitter(broker.address, curve=keys.sender, prefix="shop") as allowed:
            allowed.emit("news", "text")
            allowed.flush(LIMIT_S)
        assert node.recv().startswith(b"shop/n//\0")
        assert not node.poll(0)
    broker.wait_for_line("may not publish to the prefix")


async def test_key_of_a_node_publishes_too(broker, keys):
    with key_socket(broker, keys.node, zmq.SUB, "subscribe") as node:
        node.subscribe(b"zmqio/")
        barrier(node)
        async with AsyncEmitter(broker.address, curve=keys.node) as emitter:
            await emitter.emit("news")
            await emitter.flush(LIMIT_S)
        assert node.recv().startswith(b"zmqio/n//\0")


def test_sender_may_not_read_statistics(broker, keys):
    answer = ask_control(broker.address, {"op": "statistics"}, keys=keys.sender.load(1)[0])
    assert "may not read statistics" in answer["error"]
    assert "ingest_frames" in ask_control(broker.address, {"op": "statistics"}, keys=keys.node.load(1)[0])


FORGED = {
    "heartbeat to all nodes": b"zmqio/a/\0\x95\x01\x01\xa4peer\x01\x00",
    "message to one node": b"zmqio/u/node\0\x80",
    "acknowledgement of the broker": b"\xffsync-" + bytes(24),
    "message between nodes under the topic of a room": b"zmqio/r//\0room\0\x95\x01\x03",
}


@pytest.mark.parametrize("with_keys", [True, False])
def test_ingest_refuses_everything_but_requests(keys, with_keys):
    curve = keys.node if with_keys else None
    with (
        BrokerProcess(keys=keys if with_keys else None) as process,
        key_socket(process, curve, zmq.SUB, "subscribe") as node,
        key_socket(process, curve, zmq.PUSH, "ingest") as sender,
    ):
        node.subscribe(b"")
        barrier(node)
        for forged in FORGED.values():
            sender.send(forged)
        sender.send_multipart([b"zmqio/n//\0", b"{}"])
        sender.send(b'zmqio/n//\0{"event": "last"}')
        assert node.recv().endswith(b'{"event": "last"}')
        assert process.statistics()["ingest_refused"] == len(FORGED) + 1
        process.wait_for_line("ingest_message_refused")


async def test_recorder_of_the_wire_reads_no_text(broker, keys):
    secret = "a text that nobody else reads"
    async with Relay(broker.address) as relay:
        server = Server(adapter=ZmqAdapter(relay.address, curve=keys.node))
        await server.start()
        try:
            await wait_until(lambda: server.health().ready, "the node to be ready")
            size = len(relay.received)
            async with AsyncEmitter(broker.address, curve=keys.node) as emitter:
                await emitter.emit("news", secret)
                await emitter.flush(LIMIT_S)
            await wait_until(lambda: len(relay.received) > size + len(secret), "the request at the node")
        finally:
            await server.close()
    assert secret.encode() not in relay.received
    assert b"zmqio/" not in relay.received


async def test_keys_are_rotated_without_a_restart(tmp_path):
    keys = KeyFolder(tmp_path)
    with BrokerProcess(keys=keys) as process:
        with key_socket(process, keys.node, zmq.SUB, "subscribe") as old:
            old.subscribe(b"zmqio/")
            barrier(old)
            new = keys.make("nodes", "new")
            assert "does not know the key" in await refusal(process.endpoint("subscribe"), new)
            process.send_signal(signal.SIGHUP)
            process.wait_for_line("keys_reloaded")
            with key_socket(process, new, zmq.SUB, "subscribe") as renewed:
                renewed.subscribe(b"zmqio/")
                barrier(renewed)
                with Emitter(process.address, curve=new) as emitter:
                    emitter.emit("news")
                assert old.recv() == renewed.recv()
        (keys.folder / "nodes" / "node.key").unlink()
        process.send_signal(signal.SIGHUP)
        await wait_until(lambda: sum("keys_reloaded" in line for line in process.lines) == 2, "the second reload")
        assert "does not know the key" in await refusal(process.endpoint("subscribe"), keys.node)


def test_invalid_key_file_leaves_the_keys_as_they_are(tmp_path):
    keys = KeyFolder(tmp_path)
    with BrokerProcess(keys=keys) as process:
        (tmp_path / "nodes" / "broken.key").write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        assert "broken.key" in process.wait_for_line("keys_not_reloaded")
        assert process.statistics()["keys_rejected"] == 0


def test_secret_that_others_may_read_is_refused_at_both_ends(tmp_path):
    keys = KeyFolder(tmp_path)
    Path(keys.node.secret_file).chmod(0o644)
    with pytest.raises(ConfigError, match=r"other users may read .*chmod o-rwx"):
        ZmqAdapter("tcp://127.0.0.1:5555", curve=keys.node)
    (tmp_path / "broker.key_secret").chmod(0o644)
    result = run_broker(*keys.broker_args)
    assert result.returncode == 1
    assert "other users may read" in result.stderr


@pytest.mark.parametrize(
    "address", ["tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://[::]:5555", "tcp://example:5555"]
)
def test_broker_is_not_open_by_accident(address):
    result = run_broker("--bind", address)
    assert result.returncode == 2
    assert "--insecure" in result.stderr


def run_broker(*args: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "zmqio_broker", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
