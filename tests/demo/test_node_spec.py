"""`DemoNodeSpec`: what one node process of the demo has to know."""

from zmqio import __version__
from zmqio.demo.node_spec import DemoNodeSpec

URLS = {"A": "http://127.0.0.1:8000", "B": "http://127.0.0.1:8001"}


def test_part_travels_through_the_environment() -> None:
    part = DemoNodeSpec("A", URLS, "tcp://127.0.0.1:5555", 7, "json", "info")
    assert DemoNodeSpec.from_json(part.to_json()) == part


def test_page_is_told_its_node_all_nodes_and_the_broker() -> None:
    config = DemoNodeSpec("B", URLS, "tcp://127.0.0.1:5555", 7).config()
    assert config == {
        "node": "B",
        "nodes": [{"name": "A", "url": URLS["A"]}, {"name": "B", "url": URLS["B"]}],
        "broker": "tcp://127.0.0.1:5555",
        "version": __version__,
    }
