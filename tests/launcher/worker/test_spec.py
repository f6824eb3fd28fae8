"""A part survives its way through the environment."""

from zmqio.launcher.worker.spec import AcceptorSpec, WorkerSpec


def test_part_comes_out_as_it_went_in() -> None:
    part = WorkerSpec("chat:app", 2, 7, "/srv", 20.5, {"trusted_proxies": "*"}, True, "json", "debug")
    assert WorkerSpec.from_json(part.to_json()) == part


def test_acceptors_part_does_too() -> None:
    part = AcceptorSpec(2, 7, 8, "address", 3, False, 1.5, "*", "json", "debug")
    assert AcceptorSpec.from_json(part.to_json()) == part
