"""A spec survives its way through the environment."""

from zmqio.launcher.worker.spec import AcceptorSpec, WorkerSpec


def test_worker_spec_round_trips() -> None:
    spec = WorkerSpec("chat:app", 2, 7, "/srv", 20.5, {"trusted_proxies": "*"}, True, "json", "debug")
    assert WorkerSpec.from_json(spec.to_json()) == spec


def test_acceptor_spec_round_trips() -> None:
    spec = AcceptorSpec(2, 7, 8, "address", 3, False, 1.5, "*", "json", "debug")
    assert AcceptorSpec.from_json(spec.to_json()) == spec
