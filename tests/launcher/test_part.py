"""A worker's part survives its way through the environment."""

from zmqio.launcher.part import Part


def test_part_comes_out_as_it_went_in() -> None:
    part = Part("chat:app", 2, 7, "/srv", 20.5, {"trusted_proxies": "*"}, True, "json", "debug")
    assert Part.from_json(part.to_json()) == part
