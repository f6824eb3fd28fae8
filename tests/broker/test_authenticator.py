import os

import zmq
from zmq.utils import z85
from zmqio_broker.authenticator import NODE_DOMAIN, SENDER_DOMAIN, Authenticator
from zmqio_broker.keys import KeyRing
from zmqio_broker.rejections import Rejections

NODE, SENDER, STRANGER = (os.urandom(32) for _ in range(3))
RING = KeyRing({z85.encode(NODE): "node"}, {z85.encode(SENDER): frozenset()})


def authenticator(rejections: Rejections | None = None) -> Authenticator:
    with zmq.Context() as context, context.socket(zmq.REP) as unused:
        return Authenticator(unused, RING, rejections or Rejections())


def request(domain: bytes, key: bytes) -> list[bytes]:
    return [b"1.0", b"id", domain, b"10.0.0.9", b"", b"CURVE", key]


def test_nodes_may_connect_anywhere_and_senders_to_their_domain() -> None:
    decide = authenticator()
    for domain, key, status in (
        (NODE_DOMAIN, NODE, b"200"),
        (SENDER_DOMAIN, NODE, b"200"),
        (SENDER_DOMAIN, SENDER, b"200"),
        (NODE_DOMAIN, SENDER, b"400"),
        (NODE_DOMAIN, STRANGER, b"400"),
        (SENDER_DOMAIN, STRANGER, b"400"),
    ):
        answer = decide.answer(request(domain, key))
        assert answer[:3] == [b"1.0", b"id", status]
        assert answer[4] == (z85.encode(key) if status == b"200" else b"")
    assert decide.rejected == 3


def test_rejected_key_is_noted_with_its_address_and_reason() -> None:
    rejections = Rejections()
    decide = authenticator(rejections)
    for key in (STRANGER, SENDER):
        decide.answer(request(NODE_DOMAIN, key))
    by_key = {rejection.peer.split()[0]: rejection for rejection in rejections.take(0.0)}
    assert by_key[z85.encode(STRANGER).decode()].reason == "unknown key"
    assert "may only publish" in by_key[z85.encode(SENDER).decode()].reason
    assert all(rejection.peer.endswith("from 10.0.0.9") for rejection in by_key.values())


def test_malformed_request_is_refused() -> None:
    valid = request(NODE_DOMAIN, NODE)
    for malformed in ([], valid[:-1], [*valid[:5], b"PLAIN", NODE], [b"2.0", *valid[1:]]):
        assert authenticator().answer(malformed)[2] == b"400"
