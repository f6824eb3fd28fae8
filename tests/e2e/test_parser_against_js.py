"""zmqio's parsers and those of npm: packets that one side encodes, the other decodes to the same packet.

Needs `node` and the npm packages socket.io-parser and socket.io-msgpack-parser (`tests/support/npm.py`).
"""

import json
import os
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.protocol import vectors
from tests.support.npm import node_modules, require_node
from tests.support.timing import LIMIT_S
from zmqio.exceptions import PacketError
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.protocol.packet import MAX_ACK_ID, Packet, PacketType
from zmqio.protocol.parser import JsonParser, Parser

PARSERS: dict[str, Parser] = {"json": JsonParser(), "msgpack": MsgpackParser()}
Peer = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def peer() -> Peer:
    """Runs a list of cases in one node process."""
    node, modules = require_node(), node_modules("socket.io-parser", "socket.io-msgpack-parser")
    environment = {**os.environ, "ZMQIO_NODE_MODULES": str(modules)}

    def run(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
        script = str(Path(__file__).with_name("parser_peer.cjs"))
        text = json.dumps(cases, default=lambda value: {"$hex": value.hex()})
        done = subprocess.run(
            [node, script],
            input=text.encode(),
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr.decode()
        results: list[dict[str, Any]] = json.loads(done.stdout, object_hook=_bytes)
        assert len(results) == len(cases)
        return results

    return run


def _bytes(item: dict[str, Any]) -> Any:
    return bytes.fromhex(item["$hex"]) if item.keys() == {"$hex"} else item


def packet_of(vector: dict[str, Any]) -> Packet:
    return Packet(PacketType(vector["type"]), vector["namespace"], vector["data"], vector["id"])


def from_js(packet: dict[str, Any]) -> Packet:
    return Packet(PacketType(packet["type"]), packet["nsp"], packet.get("data"), packet.get("id"))


def to_js(packet: Packet) -> dict[str, Any]:
    fields = {"type": int(packet.type), "nsp": packet.namespace, "data": packet.data, "id": packet.id}
    return {name: value for name, value in fields.items() if value is not None}


def decode(name: str, frames: list[Any]) -> list[Packet]:
    decoder = PARSERS[name].decoder()
    return [packet for frame in frames if (packet := decoder.add(frame)) is not None]


VECTORS = vectors.load("packets")


@pytest.mark.parametrize("name", PARSERS)
def test_javascript_decodes_encoded_packets(peer: Peer, name: str) -> None:
    packets = [packet_of(vector) for vector in VECTORS]
    results = peer([{"parser": name, "decode": PARSERS[name].encode(packet)} for packet in packets])
    assert [[from_js(packet) for packet in result["packets"]] for result in results] == [
        [packet] for packet in packets
    ]


@pytest.mark.parametrize("name", PARSERS)
def test_javascript_decodes_a_broadcast_whose_ack_id_was_filled_in(peer: Peer, name: str) -> None:
    packet = Packet(PacketType.EVENT, "/chat", ["foo", {"a": b"\x01"}])
    ids = [0, 9, 127, 128, 70_000, 2**40]
    frames = [PARSERS[name].encode_ackable(packet).fill(ack_id) for ack_id in ids]
    results = peer([{"parser": name, "decode": encoded} for encoded in frames])
    assert [from_js(result["packets"][0]) for result in results] == [
        Packet(packet.type, packet.namespace, packet.data, ack_id) for ack_id in ids
    ]


def test_encoded_text_is_identical_to_that_of_javascript(peer: Peer) -> None:
    results = peer([{"parser": "json", "encode": to_js(packet_of(vector))} for vector in VECTORS])
    assert [result["frames"] for result in results] == [vector["frames"] for vector in VECTORS]


@pytest.mark.parametrize("name", PARSERS)
def test_packets_of_javascript_are_decoded(peer: Peer, name: str) -> None:
    packets = [packet_of(vector) for vector in VECTORS]
    results = peer([{"parser": name, "encode": to_js(packet)} for packet in packets])
    assert [decode(name, result["frames"]) for result in results] == [[packet] for packet in packets]


def damaged_texts(count: int) -> list[str]:
    """Golden texts with some characters changed, the same ones in every run."""
    chance = random.Random(5)
    good = [vector["frames"][0] for vector in VECTORS]
    alphabet = '0123456789-/,[]{}":abc. etrufalsn\\'
    texts = []
    for _ in range(count):
        text = list(chance.choice(good))
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(text) + 1)
            text[place : place + chance.randint(0, 2)] = chance.choice(alphabet) * chance.randint(0, 2)
        texts.append("".join(text))
    return texts


def knowingly_refused(text: str, packets: list[Packet]) -> bool:
    """Packets that `zmqio.protocol.parser` documents as rejected although JavaScript accepts them."""
    if not re.match(r"[0-4]|[56][0-9]+-", text):
        return True  # an empty text, a space as a type, a number of attachments that is not all digits
    header = re.match(r"(?:[0-4]|[56][0-9]+-)(?:/[^,]*(?:,|\Z))?[0-9]*", text)
    assert header is not None
    if header.end() < len(text):
        digits = re.search(r"[0-9]*\Z", header[0])
        return text[header.end()].isspace() or (digits is not None and int(digits[0] or 0) > MAX_ACK_ID)
    return text[0] in "23456"  # a missing payload


@pytest.mark.parametrize(
    "texts",
    [[vector["text"] for vector in vectors.load("bad_packets")], damaged_texts(4_000)],
    ids=["bad", "damaged"],
)
def test_packets_that_javascript_accepts_are_decoded_alike(peer: Peer, texts: list[str]) -> None:
    taken = 0
    for text, result in zip(texts, peer([{"parser": "json", "decode": [text]} for text in texts]), strict=True):
        try:
            packets = decode("json", [text])
        except PacketError:
            assert "error" in result or knowingly_refused(text, result["packets"]), (text, result)
        else:
            assert "error" not in result, (text, packets, result)
            assert packets == [from_js(packet) for packet in result["packets"]], text
            taken += 1
    assert taken > 100 or len(texts) < 100
