"""A part survives its way through the environment."""

from zmqio.launcher.worker.spec import AcceptorPart, Part


def test_part_comes_out_as_it_went_in() -> None:
    part = Part("chat:app", 2, 7, "/srv", 20.5, {"trusted_proxies": "*"}, True, "json", "debug")
    assert Part.from_json(part.to_json()) == part


def test_acceptors_part_does_too() -> None:
    part = AcceptorPart(2, 7, 8, "address", 3, False, 1.5, "*", "json", "debug")
    assert AcceptorPart.from_json(part.to_json()) == part
