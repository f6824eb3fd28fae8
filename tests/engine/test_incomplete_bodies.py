from zmqio.engine.incomplete_bodies import IncompleteBodies


class Harness:
    def __init__(self) -> None:
        self.displaced: list[str] = []
        self.bodies: IncompleteBodies[str] = IncompleteBodies(self.displaced.append, 100)


def test_oldest_bodies_end_beyond_the_limit() -> None:
    harness = Harness()
    for name in "abcd":
        harness.bodies.set_size(name, 30)
    assert harness.displaced == ["a"]
    harness.bodies.set_size("c", 60)
    assert harness.displaced == ["a", "b"]
    assert len(harness.bodies) == 2


def test_complete_bodies_do_not_count() -> None:
    harness = Harness()
    for number in range(100):
        harness.bodies.set_size(f"{number}", 60)
        harness.bodies.remove(f"{number}")
        harness.bodies.remove(f"{number}")
    assert (harness.displaced, len(harness.bodies)) == ([], 0)


def test_growth_of_one_body_counts_once() -> None:
    harness = Harness()
    for size in range(0, 100, 10):
        harness.bodies.set_size("a", size)
    harness.bodies.set_size("b", 10)
    assert harness.displaced == []


def test_one_body_over_the_limit_is_accepted() -> None:
    harness = Harness()
    harness.bodies.set_size("a", 1_000)
    assert harness.displaced == []
